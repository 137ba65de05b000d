// Command line: one argp parser per subcommand; all of them fill one Options.
#ifndef HZB_CLI_H
#define HZB_CLI_H

// Runs the subcommand named in argv and returns the exit code of the program.
int cli_main(int argc, char **argv);

#endif
