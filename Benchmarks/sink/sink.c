/*
 * radiator-sink FILE: the least that a durable STOMP server can do for a sender.
 *
 * It receives SEND frames on one thread, appends what one round of its event loop brought to FILE
 * with one write and one fdatasync, then gives the receipts. It keeps no queues, delivers nothing
 * and checks little: an upper bound for brokers, not a broker.
 *
 * FILE is a ring of blocks written before, so that no fdatasync has to commit file system metadata.
 * It listens on a free port of the loopback interface and says which on standard output.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    ring_bytes = 64 << 20,
    /* A frame must fit; a window of small ones should. */
    input_bytes = 1 << 20,
    events_max = 256,
};

struct buffer {
    char *bytes;
    size_t count;
    size_t capacity;
};

struct connection {
    int socket;
    struct buffer input;
    struct buffer output;
    /* Those with receipts to give after the sync. */
    struct connection *next_waiting;
    bool is_waiting;
};

struct server {
    int epoll;
    int listener;
    int log;
    off_t log_position;
    /* What this round brought. */
    struct buffer round;
    struct connection *waiting;
};

/* A part of a frame, not terminated. */
struct text {
    const char *start;
    size_t count;
};

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void append(struct buffer *buffer, const char *bytes, size_t count) {
    if (buffer->capacity - buffer->count < count) {
        size_t capacity = buffer->capacity ? buffer->capacity : 4096;
        while (capacity - buffer->count < count) capacity *= 2;
        buffer->bytes = realloc(buffer->bytes, capacity);
        if (!buffer->bytes) die("memory");
        buffer->capacity = capacity;
    }
    memcpy(buffer->bytes + buffer->count, bytes, count);
    buffer->count += count;
}

static void answer(struct server *server, struct connection *connection, const char *start,
                   struct text id) {
    append(&connection->output, start, strlen(start));
    append(&connection->output, id.start, id.count);
    append(&connection->output, "\n\n", 3);
    if (connection->is_waiting) return;
    connection->is_waiting = true;
    connection->next_waiting = server->waiting;
    server->waiting = connection;
}

/* The value of the header line at `line` if it has that name; `end` is past the last line. */
static bool has_name(const char *line, const char *end, const char *name, struct text *value) {
    size_t count = strlen(name);
    if ((size_t)(end - line) < count || memcmp(line, name, count) != 0) return false;
    value->start = line + count;
    value->count = (size_t)((const char *)memchr(line, '\n', (size_t)(end - line)) - value->start);
    return true;
}

/* Handles the frame at `start` and returns its length; 0 when the rest is still to come. */
static size_t take_frame(struct server *server, struct connection *connection, const char *start,
                         size_t available) {
    const char *blank = memmem(start, available, "\n\n", 2);
    if (!blank) return 0;
    const char *end = blank + 1;
    struct text receipt = {NULL, 0}, length = {"", 0};
    const char *line = (const char *)memchr(start, '\n', (size_t)(end - start)) + 1;
    for (; line < end; line = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1)
        if (!has_name(line, end, "receipt:", &receipt))
            has_name(line, end, "content-length:", &length);
    size_t body = length.count ? strtoul(length.start, NULL, 10) : 0;
    size_t total = (size_t)(end - start) + 1 + body + 1;
    if (total > input_bytes) {
        fprintf(stderr, "radiator-sink: a frame of more than %d bytes\n", input_bytes);
        exit(1);
    }
    if (available < total) return 0;
    if (memcmp(start, "SEND", 4) == 0) append(&server->round, start, total);
    if (memcmp(start, "CONNECT", 7) == 0)
        answer(server, connection, "CONNECTED\nversion:", (struct text){"1.2", 3});
    if (receipt.start) answer(server, connection, "RECEIPT\nreceipt-id:", receipt);
    return total;
}

static void take_input(struct server *server, struct connection *connection) {
    struct buffer *input = &connection->input;
    size_t done = 0;
    while (done < input->count) {
        if (input->bytes[done] == '\n') {
            done++;
            continue;
        }
        size_t count =
            take_frame(server, connection, input->bytes + done, input->count - done);
        if (count == 0) break;
        done += count;
    }
    input->count -= done;
    memmove(input->bytes, input->bytes + done, input->count);
}

static void accept_connection(struct server *server) {
    int socket = accept(server->listener, NULL, NULL);
    if (socket < 0) return;
    int yes = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct connection *connection = calloc(1, sizeof *connection);
    if (!connection) die("memory");
    connection->socket = socket;
    connection->input.capacity = input_bytes;
    connection->input.bytes = malloc(input_bytes);
    if (!connection->input.bytes) die("memory");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, socket, &event) != 0) die("epoll_ctl");
}

/* It has no receipts to come: they were given at the end of the round that brought its last frames,
 * and a round has one event for each connection. */
static void close_connection(struct connection *connection) {
    close(connection->socket);
    free(connection->input.bytes);
    free(connection->output.bytes);
    free(connection);
}

static void receive(struct server *server, struct connection *connection) {
    struct buffer *input = &connection->input;
    ssize_t count = recv(connection->socket, input->bytes + input->count,
                         input->capacity - input->count, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) {
        close_connection(connection);
        return;
    }
    input->count += (size_t)count;
    take_input(server, connection);
}

/* Makes durable what the round brought. */
static void commit(struct server *server) {
    struct buffer *round = &server->round;
    if (round->count == 0) return;
    if (server->log_position + (off_t)round->count > ring_bytes) server->log_position = 0;
    for (size_t done = 0; done < round->count;) {
        ssize_t count = pwrite(server->log, round->bytes + done, round->count - done,
                               server->log_position);
        if (count < 0) die("write");
        done += (size_t)count;
        server->log_position += count;
    }
    if (fdatasync(server->log) != 0) die("fdatasync");
    round->count = 0;
}

/* Blocks where a socket is full: receipts are small, and the other side always reads. */
static void give_receipts(struct server *server) {
    while (server->waiting) {
        struct connection *connection = server->waiting;
        server->waiting = connection->next_waiting;
        connection->is_waiting = false;
        struct buffer *output = &connection->output;
        ssize_t count = send(connection->socket, output->bytes, output->count, MSG_NOSIGNAL);
        /* The end of a connection comes with its next event. */
        if (count < 0 && errno != EPIPE && errno != ECONNRESET) die("send");
        output->count = 0;
    }
}

static void serve(struct server *server) {
    struct epoll_event events[events_max];
    for (;;) {
        int count = epoll_wait(server->epoll, events, events_max, -1);
        if (count < 0 && errno != EINTR) die("epoll_wait");
        for (int index = 0; index < count; index++) {
            struct connection *connection = events[index].data.ptr;
            if (connection) receive(server, connection);
            else accept_connection(server);
        }
        commit(server);
        give_receipts(server);
    }
}

static int open_log(const char *path) {
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file < 0) die(path);
    static char zeros[1 << 20];
    for (off_t done = 0; done < ring_bytes; done += sizeof zeros)
        if (pwrite(file, zeros, sizeof zeros, done) != sizeof zeros) die(path);
    if (fsync(file) != 0) die(path);
    return file;
}

static void listen_on_free_port(struct server *server) {
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t count = sizeof address;
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    server->epoll = epoll_create1(0);
    if (server->listener < 0 || server->epoll < 0) die("socket");
    if (bind(server->listener, (struct sockaddr *)&address, count) != 0 ||
        listen(server->listener, SOMAXCONN) != 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &count) != 0)
        die("listen");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->listener, &event) != 0) die("epoll_ctl");
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: radiator-sink FILE\n");
        return 64;
    }
    struct server server = {.log = open_log(arguments[1])};
    listen_on_free_port(&server);
    serve(&server);
}
