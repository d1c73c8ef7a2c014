#define _GNU_SOURCE 1
#include "io/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum {
    BACKLOG = 4096, /* the kernel cuts it to net.core.somaxconn */
    TEXT_BYTES_MAX = 64
};

static bool parse_port(const char *text, uint16_t *port)
{
    uint32_t value = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        value = value * 10 + (uint32_t)(*text - '0');
        if (value > UINT16_MAX) {
            return false;
        }
    }
    *port = (uint16_t)value;
    return true;
}

/* Is there IPv6 here at all? */
static bool have_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        (void)close(fd);
    }
    return fd >= 0;
}

static bool parse_host(const char *host, bool brackets, uint16_t port, struct cw_endpoint *address)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    address->any = host[0] == '\0' && !brackets;
    bool four = address->any ? !have_ipv6() : !brackets;
    if (address->any) {
        in.sin_addr.s_addr = htonl(INADDR_ANY);
        in6.sin6_addr = in6addr_any;
    } else if (strcmp(host, "localhost") == 0 && !brackets) {
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else if (four ? inet_pton(AF_INET, host, &in.sin_addr) != 1
                    : inet_pton(AF_INET6, host, &in6.sin6_addr) != 1) {
        return false;
    }
    if (four) {
        memcpy(&address->at, &in, sizeof in);
        address->bytes = sizeof in;
        address->loopback = ntohl(in.sin_addr.s_addr) >> 24 == 127;
    } else {
        memcpy(&address->at, &in6, sizeof in6);
        address->bytes = sizeof in6;
        address->loopback = IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
    }
    return true;
}

cw_err cw_endpoint_parse(struct cw_view text, struct cw_endpoint *address, struct cw_fault *fault)
{
    char copy[TEXT_BYTES_MAX];
    bool fits = text.bytes < sizeof copy && (text.bytes == 0 || !memchr(text.data, 0, text.bytes));
    *address = (struct cw_endpoint){.bytes = 0};
    uint16_t port = 0;
    if (fits) {
        memcpy(copy, text.data, text.bytes);
        copy[text.bytes] = '\0';
        char *colon = strrchr(copy, ':');
        char *host = copy;
        if (colon != NULL && parse_port(colon + 1, &port)) {
            *colon = '\0';
            bool brackets = host[0] == '[' && colon > host && colon[-1] == ']';
            if (brackets) {
                colon[-1] = '\0';
                host++;
            }
            if (parse_host(host, brackets, port, address)) {
                return CW_ERR_OK;
            }
        }
    }
    return cw_fail(fault, CW_ERR_INVALID,
                   "\"%.*s\" is no address to listen at: ADDRESS:PORT, [ADDRESS]:PORT or :PORT "
                   "is (names are not looked up)",
                   (int)(text.bytes < TEXT_BYTES_MAX ? text.bytes : TEXT_BYTES_MAX), text.data);
}

uint16_t cw_endpoint_port(const struct cw_endpoint *endpoint)
{
    const struct sockaddr_in *in = (const void *)&endpoint->at; /* the port is in the same place */
    static_assert(offsetof(struct sockaddr_in, sin_port) ==
                      offsetof(struct sockaddr_in6, sin6_port),
                  "ports are where they are");
    return ntohs(in->sin_port);
}

void cw_endpoint_set_port(struct cw_endpoint *endpoint, uint16_t port)
{
    struct sockaddr_in *in = (void *)&endpoint->at;
    in->sin_port = htons(port);
}

static bool set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

static int bound_socket(const struct cw_endpoint *address, bool shared)
{
    int fd = socket(address->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    bool fine = set(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
                (!shared || set(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
                (address->at.ss_family != AF_INET6 ||
                 set(fd, IPPROTO_IPV6, IPV6_V6ONLY, address->any ? 0 : 1)) &&
                bind(fd, (const struct sockaddr *)&address->at, address->bytes) == 0;
    if (!fine) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Nobody listens there: binding without SO_REUSEPORT and listening would fail otherwise. */
static bool port_unused(const struct cw_endpoint *address)
{
    int fd = bound_socket(address, false);
    bool unused = fd >= 0 && listen(fd, 1) == 0;
    int error = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    errno = error;
    return unused;
}

cw_err cw_endpoint_listen(const struct cw_endpoint *address, bool first, int *fd_out,
                          uint16_t *port, struct cw_fault *fault)
{
    uint16_t asked = cw_endpoint_port(address);
    if (first && asked != 0 && !port_unused(address)) {
        return cw_fail(fault, CW_ERR_IO, "the port cannot be had%s",
                       errno == EADDRINUSE ? " (stop the engine that has it, or name another)"
                                           : "");
    }
    int fd = bound_socket(address, true);
    /* What is accepted inherits these. A caller that is gone without a word is found out. */
    bool fine = fd >= 0 && set(fd, IPPROTO_TCP, TCP_NODELAY, 1) &&
                set(fd, SOL_SOCKET, SO_KEEPALIVE, 1) && listen(fd, BACKLOG) == 0;
    struct cw_endpoint bound = *address;
    socklen_t bytes = sizeof bound.at;
    if (!fine || getsockname(fd, (struct sockaddr *)&bound.at, &bytes) != 0) {
        cw_err err = cw_fail(fault, CW_ERR_IO, "the address cannot be had");
        if (fd >= 0) {
            (void)close(fd);
        }
        return err;
    }
    *fd_out = fd;
    *port = cw_endpoint_port(&bound);
    return CW_ERR_OK;
}
