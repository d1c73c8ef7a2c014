/* resume: lets go of the sends of an engine that holds them. */
#include "core/time.h"
#include "tools/ask.h"

#include <getopt.h>
#include <string.h>

static const char help[] =
    "usage: cartwheel resume --to URL [OPTIONS]\n"
    "\n"
    "An engine on a restored state holds all sends: messages that went out after the\n"
    "snapshot was made are not known to it. So does one whose wall clock jumped ahead\n"
    "(clock_suspect). This lets them go; with a clock that is suspect it says that\n"
    "the wall clock is right.\n"
    "\n"
    "  --to URL                  the engine, such as http://127.0.0.1:8080; with a\n"
    "                            path only where a proxy has it: /v1/resume goes\n"
    "                            behind it\n"
    "  --assume-sent-until TIME  touches that were due before TIME\n"
    "                            (2026-11-28T18:15:00Z) count as perhaps sent, and\n"
    "                            become what onUnknown of their channel says; the\n"
    "                            time at which the engine that was lost sent its last\n"
    "                            message\n"
    "  --api-key-file FILE       sent as X-Api-Key; its role is admin\n"
    "  --help                    print this\n"
    "\n"
    "After a restore let the sources send again first what they sent since the\n"
    "snapshot: what comes after this is new, and goes out. Without\n"
    "--assume-sent-until everything that is overdue goes out, once more if it did\n"
    "before. What is said is durable before this ends.\n"
    "\n"
    "exit: 0 sends go, 1 failed, 2 wrong usage\n";

static int send_it(const struct cw_target_options *engine, const char *until)
{
    char path[256];
    char time[CW_TIME_BYTES + 1] = "";
    int64_t ms;
    if (until != NULL && !cw_time_parse((struct cw_view){until, (uint32_t)strlen(until)}, &ms)) {
        return cw_usage_error("resume", "--assume-sent-until is a time such as "
                                        "2026-11-28T18:15:00Z");
    }
    if (until != NULL) {
        cw_time_format(ms, time);
    }
    (void)snprintf(path, sizeof path, "/v1/resume%s%s", until != NULL ? "?assumeSentUntil=" : "",
                   time);
    struct cw_text body = {0};
    int rc = cw_ask("resume", engine, path, &body);
    if (rc == CW_EXIT_OK) {
        (void)fwrite(body.data, 1, body.bytes, stdout);
    }
    cw_text_deinit(&body);
    return rc;
}

int cw_cmd_resume(int argc, char **argv)
{
    static const struct option known[] = {{"to", required_argument, NULL, 't'},
                                          {"assume-sent-until", required_argument, NULL, 'u'},
                                          {"api-key-file", required_argument, NULL, 'k'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    struct cw_target_options engine = {0};
    const char *until = NULL;
    int option;
    while ((option = cw_next_option("resume", argc, argv, "h", known)) != -1) {
        switch (option) {
        case 't': engine.to = optarg; break;
        case 'u': until = optarg; break;
        case 'k': engine.api_key_file = optarg; break;
        case 'h': (void)fputs(help, stdout); return CW_EXIT_OK;
        default: return CW_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        return cw_usage_error("resume", "\"%s\" is not known here", argv[optind]);
    }
    return send_it(&engine, until);
}
