/*
 * endpoint: addresses to listen at, as people write them, and sockets bound to them.
 *
 * Threads: any. Memory: none of its own.
 */
#ifndef CW_IO_ENDPOINT_H
#define CW_IO_ENDPOINT_H

#include "core/err.h"
#include "core/view.h"

#include <sys/socket.h>

struct cw_endpoint {
    struct sockaddr_storage at;
    socklen_t bytes;
    bool loopback, any;
};

/* "127.0.0.1:8080", "[::1]:8080", "localhost:8080", ":8080" (every address, IPv6 and IPv4 where
   the machine has both). Names are not looked up. */
CW_MUST_USE cw_err cw_endpoint_parse(struct cw_view text, struct cw_endpoint *endpoint,
                                     struct cw_fault *fault);
uint16_t cw_endpoint_port(const struct cw_endpoint *endpoint);
void cw_endpoint_set_port(struct cw_endpoint *endpoint, uint16_t port);

/*
 * A listening TCP socket that other cores' sockets may share the port with (SO_REUSEPORT). first:
 * nobody else may have the port yet: another program of the same user could otherwise share it,
 * and take half of the callers. Port 0: the system chooses; *port is what it is.
 */
CW_MUST_USE cw_err cw_endpoint_listen(const struct cw_endpoint *endpoint, bool first, int *fd,
                                      uint16_t *port, struct cw_fault *fault);

#endif
