#include "process/tree.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/files.h"
#include "base/host.h"
#include "process/target.h"

// A process that has just begun its program has not mapped libraries yet, and on a busy machine that takes any time.
// One that has used so much of a CPU must have.
enum { PROOF_CPU_MS_MAX = 30 };

void tree_start(Tree *tree, pid_t launcher, const char *library, const StrList *known)
{
    *tree = (Tree){.launcher = launcher, .library = library, .known = known};
}

static TreeProcess *process_of(Tree *tree, pid_t pid)
{
    for (unsigned i = 0; i < tree->count; i++)
        if (tree->items[i].pid == pid) return &tree->items[i];
    if (tree->count == tree->room) {
        tree->room = tree->room ? 2 * tree->room : 16;
        tree->items = xrealloc(tree->items, tree->room, sizeof *tree->items);
    }
    tree->items[tree->count] = (TreeProcess){.pid = pid, .statm_fd = target_open_statm(pid)};
    return &tree->items[tree->count++];
}

static void walk(Tree *tree, pid_t pid);

static void walk_children_of_thread(Tree *tree, pid_t pid, const char *thread)
{
    char *path = xfmt("/proc/%d/task/%s/children", (int)pid, thread);
    char *text = file_text(path), *at = text, *end;
    free(path);
    for (long child; at && (child = strtol(at, &end, 10)) > 0; at = end) {
        process_of(tree, (pid_t)child)->is_here = true;
        walk(tree, (pid_t)child);
    }
    free(text);
}

static void walk(Tree *tree, pid_t pid)
{
    char *path = xfmt("/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    free(path);
    for (struct dirent *thread; threads && (thread = readdir(threads));)
        if (thread->d_name[0] != '.') walk_children_of_thread(tree, pid, thread->d_name);
    if (threads) closedir(threads);
}

static void prove(Tree *tree, TreeProcess *process)
{
    const uint64_t stack_start = target_stack_start(process->pid); // first: what is read next may be the next program
    if (tree->fault || (process->is_proven && stack_start == process->stack_start)) return;
    char *fault = target_program_fault(process->pid, tree->library, tree->known);
    if (!fault) {
        tree->proven += !process->is_proven;
        process->is_proven = true;
        process->stack_start = stack_start;
    } else if (target_cpu_ms(process->pid) > PROOF_CPU_MS_MAX) {
        tree->fault = xfmt("%s (process %d)", fault, (int)process->pid);
    }
    free(fault);
}

int64_t tree_rss_kib(Tree *tree)
{
    int64_t sum = 0;
    unsigned kept = 0;
    for (unsigned i = 0; i < tree->count; i++)
        tree->items[i].is_here = false;
    walk(tree, tree->launcher);
    for (unsigned i = 0; i < tree->count; i++) {
        TreeProcess process = tree->items[i];
        const int64_t rss_kib = process.is_here ? target_rss_kib(process.statm_fd) : 0;
        if (rss_kib == 0) { // gone, or waits to be reaped
            close(process.statm_fd);
            continue;
        }
        prove(tree, &process);
        tree->items[kept++] = process;
        sum += rss_kib;
    }
    tree->count = kept;
    return sum;
}

int64_t tree_pss_kib(const Tree *tree)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < tree->count; i++) {
        char *path = xfmt("/proc/%d/smaps_rollup", (int)tree->items[i].pid);
        const int64_t pss_kib = proc_value(path, "Pss");
        free(path);
        if (pss_kib > 0) sum += pss_kib;
    }
    return sum;
}

void tree_free(Tree *tree)
{
    for (unsigned i = 0; i < tree->count; i++)
        close(tree->items[i].statm_fd);
    free(tree->items);
    free(tree->fault);
    *tree = (Tree){0};
}
