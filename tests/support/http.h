/*
 * A web server of a few lines for the tests of downloads: a child process that answers one request
 * after the other. The first part of the path says how:
 *   /ranges/...  the file, from the byte that was asked for
 *   /plain/...   the whole file, whatever was asked for
 *   /tail/...    only what is asked for from a later byte on; whole files are not found
 *   /cut/...     promises the whole file and closes the connection after half of it
 *   /page/...    a web page with status 200;   /login/...  leads to /page/
 * Every file has the same bytes, which http_byte() gives.
 */
#ifndef CUPEL_TEST_SUPPORT_HTTP_H
#define CUPEL_TEST_SUPPORT_HTTP_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/check.h"

enum { HTTP_SIZE = 10007 };
struct http_server {
    pid_t child;
    int port;
};

static inline uint8_t http_byte(int index) {
    return (uint8_t)(index * 31 + index / 256);
}

static inline void http_send(int socket, const void *bytes, size_t size) {
    const char *at = bytes;
    while (size > 0) {
        const ssize_t sent = send(socket, at, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        at += sent;
        size -= (size_t)sent;
    }
}

static inline void http_head(int socket, const char *status, const char *line, int size) {
    char head[256];
    const int length = snprintf(head, sizeof head,
                                "HTTP/1.1 %s\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n",
                                status, line, size);
    http_send(socket, head, (size_t)length);
}

static inline void http_answer(int socket, const char *request) {
    static const char page[] = "\n<!DOCTYPE html><html><body>Please log in</body></html>\n";
    uint8_t bytes[HTTP_SIZE];
    char line[128];
    const char *const range = strstr(request, "Range: bytes=");
    int from = range == NULL ? 0 : (int)strtol(range + 13, NULL, 10);
    const bool cut = strstr(request, "GET /cut/") == request;
    for (int i = 0; i < HTTP_SIZE; i++)
        bytes[i] = http_byte(i);
    if (strstr(request, "GET /login/") == request) {
        http_head(socket, "302 Found", "Location: /page/x\r\n", 0);
    } else if (strstr(request, "GET /page/") == request) {
        http_head(socket, "200 OK", "", (int)strlen(page));
        http_send(socket, page, strlen(page));
    } else if ((strstr(request, "GET /tail/") == request && from == 0) ||
               (strstr(request, "GET /ranges/") != request && !cut &&
                strstr(request, "GET /plain/") != request &&
                strstr(request, "GET /tail/") != request)) {
        http_head(socket, "404 Not Found", "", 0);
    } else if (from > 0 && strstr(request, "GET /plain/") != request) {
        if (from >= HTTP_SIZE) {
            http_head(socket, "416 Range Not Satisfiable", "", 0);
            return;
        }
        snprintf(line, sizeof line, "Content-Range: bytes %d-%d/%d\r\n", from, HTTP_SIZE - 1,
                 HTTP_SIZE);
        http_head(socket, "206 Partial Content", line, HTTP_SIZE - from);
        http_send(socket, bytes + from, (size_t)(HTTP_SIZE - from));
    } else {
        http_head(socket, "200 OK", "", HTTP_SIZE);
        http_send(socket, bytes, cut ? HTTP_SIZE / 2 : HTTP_SIZE);
    }
}

static inline void http_serve(int listener) {
    for (;;) {
        char request[4096];
        size_t size = 0;
        const int socket = accept(listener, NULL, NULL);
        if (socket < 0)
            continue;
        memset(request, 0, sizeof request);
        while (size < sizeof request - 1 && strstr(request, "\r\n\r\n") == NULL) {
            const ssize_t got = recv(socket, request + size, sizeof request - 1 - size, 0);
            if (got <= 0)
                break;
            size += (size_t)got;
        }
        http_answer(socket, request);
        close(socket);
    }
}

static inline struct http_server http_start(void) {
    struct http_server server = {0};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(listener >= 0);
    CHECK_I64(bind(listener, (struct sockaddr *)&address, length), 0);
    CHECK_I64(listen(listener, 8), 0);
    CHECK_I64(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    server.port = ntohs(address.sin_port);
    server.child = fork();
    CHECK(server.child >= 0);
    if (server.child == 0)
        http_serve(listener);
    close(listener);
    return server;
}

static inline void http_stop(struct http_server *server) {
    CHECK_I64(kill(server->child, SIGKILL), 0);
    CHECK_I64(waitpid(server->child, NULL, 0), server->child);
}

#endif
