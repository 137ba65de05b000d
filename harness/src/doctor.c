#include "commands.h"
HzbExit command_doctor(const Options *options)
{
    (void)options;
    return HZB_OK;
}
HzbExit command_plot(const Options *options)
{
    (void)options;
    return HZB_OK;
}
