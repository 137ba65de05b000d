// `hzb doctor`: what about this machine makes figures doubtful, as lines or as JSON.
#include <stdio.h>

#include "commands/commands.h"
#include "process/doctor.h"

static void print_lines(const Doctor *doctor)
{
    size_t i;
    json_t *item;
    json_array_foreach(doctor->findings, i, item)
    {
        const char *advice = json_string_value(json_object_get(item, "advice"));
        printf("%-4s  %-10s  %s%s%s\n", json_string_value(json_object_get(item, "level")),
               json_string_value(json_object_get(item, "check")), json_string_value(json_object_get(item, "finding")),
               *advice ? " -> " : "", advice);
    }
    printf("%u warnings\n", doctor->warnings);
}

HzbExit command_doctor(const Options *options)
{
    Doctor doctor;
    if (!doctor_look(options, &doctor)) return HZB_USAGE;
    if (options->json) {
        json_dumpf(doctor.findings, stdout, JSON_INDENT(2) | JSON_DIGITS);
        putchar('\n');
    } else {
        print_lines(&doctor);
    }
    json_decref(doctor.findings);
    return fflush(stdout) == 0 ? HZB_OK : HZB_IO;
}
