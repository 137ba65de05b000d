#include "report/page_frame.h"

#include "base/html.h"

// Colours come in pairs, light and dark. A figure is drawn on white, which the page leaves out, to stand on its own
// ground. In the dark its brightness is inverted and its hues are kept, so that an allocator keeps its colour. Figures
// stand beside each other where there is room. Tables that are wider than the page scroll by themselves.
static const char style[] =
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1c1e21;--dim:#5c636b;--line:#d8dce1;--card:#f6f7f9;--bad:#b3261e;"
    "--warn:#8a5a00;--good:#1a7f37;--band:#dfe4ea}"
    "@media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e6e8ea;--dim:#9aa3ac;--line:#343a40;--card:#1d2125;"
    "--bad:#ff8a80;--warn:#f0b849;--good:#6fdc8c;--band:#343c45}figure svg{filter:invert(1) hue-rotate(180deg)}}"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:68rem;padding:1rem;background:var(--bg);color:var(--fg);"
    "font:1rem/1.45 system-ui,'DejaVu Sans',sans-serif}"
    "h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line)}"
    "h3{font-size:1rem;margin:1.5rem 0 .2rem}p{margin:.4rem 0}a{color:inherit}"
    ".dim,small,figcaption{color:var(--dim)}.dim{overflow-wrap:anywhere}code{font:.875em/1.4 ui-monospace,'DejaVu Sans "
    "Mono',monospace;overflow-wrap:anywhere}"
    ".overall{padding:.7rem 1rem;margin:.8rem 0;border-left:.4rem solid var(--dim);background:var(--card)}"
    ".overall b{text-transform:uppercase;letter-spacing:.03em}"
    ".overall.regression,.overall.failed{border-color:var(--bad)}.overall.inconclusive{border-color:var(--warn)}"
    ".overall.clean{border-color:var(--good)}"
    "nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:.5rem 0}"
    "summary{cursor:pointer;padding:.4rem 0}.wide{overflow-x:auto;margin:.5rem "
    "0}table{border-collapse:separate;border-spacing:0;font-size:.875rem;"
    "font-variant-numeric:tabular-nums}"
    "th,td{padding:.3rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap;"
    "vertical-align:top}"
    "td,th{line-height:1.25rem}td small,th "
    "small{line-height:1rem}th{color:var(--dim);font-weight:600}.l{text-align:left}td.wrap{white-space:normal;min-"
    "width:14rem}"
    "td:first-child,th:first-child{text-align:left;position:sticky;left:0;background:var(--bg)}"
    "td small,th "
    "small{display:block}.v-regression,.v-failed{color:var(--bad);font-weight:600}.v-inconclusive{color:var(--warn);"
    "font-weight:600}.v-improved{color:var(--good);font-weight:600}"
    ".ci{width:9rem;height:1.2rem;display:block}.ci rect{fill:var(--band)}.ci line{stroke:currentColor;stroke-width:2}"
    ".ci line.one{stroke:var(--dim);stroke-width:1}.ci circle{fill:currentColor}"
    ".headlines{margin:.3rem 0 .6rem;padding-left:1.1rem;font-weight:600}figure svg>g>rect:first-child{fill:none}"
    ".figures{columns:27rem 2;column-gap:1rem}.figures>*{break-inside:avoid}"
    "figure{margin:0 0 1rem}figure svg{display:block;width:100%;height:auto}"
    "@media(max-width:40rem){body{padding:.7rem}th,td{padding:.25rem "
    ".35rem}td:first-child,th:first-child{min-width:8rem;max-width:"
    "9.5rem;white-space:normal;overflow-wrap:anywhere}td.wrap{min-width:10rem}}";

void page_begin(FILE *out, const char *title)
{
    fputs("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>",
          out);
    html_text(out, title);
    fprintf(out, "</title>\n<style>%s</style>\n</head>\n<body>\n", style);
}

void page_end(FILE *out)
{
    fputs("</body>\n</html>\n", out);
}
