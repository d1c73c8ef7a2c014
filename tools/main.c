/* main: finds the command and runs it. */
#include "tools/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#ifndef CW_VERSION
#    define CW_VERSION "0"
#endif

struct cw_command {
    const char *name;
    cw_command_fn *run;
    const char *help;
};

/* clang-format off */
static const struct cw_command commands[] = {
    {"run", cw_cmd_run, "the engine: events in over HTTP and TCP, messages out"},
    {"snapshot", cw_cmd_snapshot, "one file with all that an engine remembers"},
    {"restore", cw_cmd_restore, "a state out of a snapshot, with its sends held"},
    {"resume", cw_cmd_resume, "let go of the sends of a restored engine"},
    {"verify", cw_cmd_verify, "read a whole state or snapshot: is it good?"},
    {"inspect", cw_cmd_inspect, "what is in a state or a snapshot"},
    {"config", cw_cmd_config, "the keys of the engine file"},
    {"top", cw_cmd_top, "what an engine does just now"},
    {"replay", cw_cmd_replay, "run events through programs on event time"},
    {"check", cw_cmd_check, "validate program files and tell every problem"},
    {"explain", cw_cmd_explain, "every verdict on one abandonment or event, and what followed"},
    {"match", cw_cmd_match, "does each event match an EventBridge pattern?"},
    {"preview", cw_cmd_preview, "a message as a given customer would get it"},
    {"gen", cw_cmd_gen, "a synthetic shop: customers, carts, orders, opens, clicks"},
    {"send", cw_cmd_send, "put events from a file into an engine"},
    {"load", cw_cmd_load, "open-loop load on an engine, and how long it takes to answer"},
    {NULL, NULL, NULL},
};

/* clang-format on */

static void print_help(FILE *to)
{
    (void)fprintf(to, "cartwheel " CW_VERSION ": abandoned-cart recovery\n\n"
                      "usage: cartwheel COMMAND [OPTIONS] [FILES]\n\n");
    for (const struct cw_command *command = commands; command->name != NULL; command++) {
        (void)fprintf(to, "  %-10s %s\n", command->name, command->help);
    }
    (void)fprintf(to, "\n`cartwheel COMMAND --help` tells a command's options.\n"
                      "exit: 0 success, 1 failure, 2 wrong usage or configuration;\n"
                      "      74 the disk failed, 78 damaged state\n");
}

/* A stream that is closed is a number that the next file gets, and what is said goes into that
   file. Each is opened the wrong way round: who reads or writes it is told as if it were closed. */
static bool fill_streams(void)
{
    static const int ways[] = {O_WRONLY, O_RDONLY, O_RDWR};
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
        if (fcntl(i, F_GETFD) < 0 && errno == EBADF && open("/dev/null", ways[i]) != i) {
            return false;
        }
    }
    return true;
}

/* What nobody could read is not done, whatever the command made of it: scripts go by the code.
   Those that have told of it themselves have failed already. */
static int end(int code)
{
    errno = 0;
    bool written = fflush(stdout) == 0 && ferror(stdout) == 0;
    if (written || code != CW_EXIT_OK) {
        return code;
    }
    struct cw_fault fault;
    (void)cw_fail(&fault, CW_ERR_IO, "standard output did not take all of it");
    return cw_failure(&fault);
}

static int run(int argc, char **argv)
{
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
                      strcmp(argv[1], "help") == 0)) {
        print_help(stdout);
        return CW_EXIT_OK;
    }
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        (void)printf("cartwheel %s\n", CW_VERSION);
        return CW_EXIT_OK;
    }
    if (argc < 2) {
        print_help(stderr);
        return CW_EXIT_USAGE;
    }
    const char *names[CW_COUNTOF(commands)];
    uint32_t count = 0;
    for (const struct cw_command *command = commands; command->name != NULL; command++) {
        if (strcmp(argv[1], command->name) == 0) {
            return command->run(argc - 1, argv + 1);
        }
        names[count++] = command->name;
    }
    const char *near = cw_nearest(argv[1], names, count);
    (void)fprintf(stderr, "cartwheel: no command \"%s\"%s%s%s; see cartwheel --help\n", argv[1],
                  near == NULL ? "" : ", did you mean \"", near == NULL ? "" : near,
                  near == NULL ? "" : "\"?");
    return CW_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    if (!fill_streams()) {
        struct cw_fault fault;
        (void)cw_fail(&fault, CW_ERR_IO, "opening /dev/null for a standard stream that is closed");
        return cw_failure(&fault);
    }
    return end(run(argc, argv));
}
