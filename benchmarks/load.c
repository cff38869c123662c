/* The load of many media streams: one thread, one socket per call, 20 ms of both tracks at real-time pace or as fast as
 * the sockets take it. It speaks the carrier's media stream protocol and nothing more; `load.py` compiles and drives it.
 *
 * load PORT SIGNATURE CALLS_FILE POOL_FILE SECONDS CALLS_A_SECOND MODE
 *   CALLS_FILE  one line per call: leg sid, stream sid, token
 *   POOL_FILE   mu-law; frame k of track t of call i is the pool's frame (31 i + 7 t + k) mod (number of frames)
 *   MODE        pair: both tracks' frames due together; apart: 10 ms between them; flood: no pace
 * On standard output: "begin N" and "end N" with the messages sent so far, one second after the last call began and when
 * the first one ends; then "sent N", "refused N", "lost N", "cpu_us N" and a line "late_us ..." and "trip_us ...".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME = 160, TEXT_MAX = 1024, BACKLOG = 1 << 20, SAMPLES = 1 << 20 };

typedef struct {
    int fd, index, frames, half;
    int64_t due_us, pinged_us;
    char leg[40], stream[40], token[80];
    unsigned char *out; /* what the socket did not take yet */
    size_t out_len;
} call_t;

static char *pool;
static size_t pool_frames;
static int64_t late_us[SAMPLES], trip_us[SAMPLES];
static size_t lates, trips;
static long sent, refused, lost;
static int last_frame;

static int64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void push(call_t *c, const unsigned char *data, size_t n) {
    if (c->fd < 0) return;
    if (c->out_len == 0) {
        ssize_t done = send(c->fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done < 0 && errno != EAGAIN) { close(c->fd); c->fd = -1; lost++; return; }
        if (done > 0) { data += done; n -= (size_t)done; }
    }
    if (n == 0) return;
    if (c->out_len + n > BACKLOG) { close(c->fd); c->fd = -1; lost++; return; }
    if (!c->out) c->out = malloc(BACKLOG);
    memcpy(c->out + c->out_len, data, n);
    c->out_len += n;
}

static void flush(call_t *c) {
    ssize_t done = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (done <= 0) return;
    memmove(c->out, c->out + done, c->out_len - (size_t)done);
    c->out_len -= (size_t)done;
}

static void frame_out(call_t *c, int opcode, const char *text, size_t n) {
    unsigned char out[TEXT_MAX + 8];
    size_t head = n < 126 ? 2 : 4;
    const unsigned char mask[4] = {0x37, 0xfa, 0x21, (unsigned char)(c->frames | 1)};
    out[0] = (unsigned char)(0x80 | opcode);
    out[1] = (unsigned char)(0x80 | (n < 126 ? n : 126));
    if (head == 4) { out[2] = (unsigned char)(n >> 8); out[3] = (unsigned char)n; }
    memcpy(out + head, mask, 4);
    for (size_t i = 0; i < n; i++) out[head + 4 + i] = (unsigned char)text[i] ^ mask[i & 3];
    push(c, out, head + 4 + n);
}

static const char *encode(size_t frame) { /* base64 of each pool frame, made once */
    static const char *alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static char *made;
    enum { CODED = (FRAME + 2) / 3 * 4 };
    if (!made) {
        made = calloc(pool_frames, CODED + 1);
        for (size_t f = 0; f < pool_frames; f++)
            for (size_t i = 0, o = 0; i < FRAME; i += 3) {
                unsigned v = 0;
                for (size_t j = 0; j < 3; j++) v = v << 8 | (i + j < FRAME ? (unsigned char)pool[f * FRAME + i + j] : 0);
                for (size_t j = 0; j < 4; j++, o++)
                    made[f * (CODED + 1) + o] = i + j <= FRAME ? alphabet[v >> (18 - 6 * j) & 63] : '=';
            }
    }
    return made + frame * (CODED + 1);
}

static void media(call_t *c, int track) {
    char text[TEXT_MAX];
    size_t which = (31u * (size_t)c->index + 7u * (size_t)track + (size_t)c->frames) % pool_frames;
    int n = snprintf(text, sizeof text,
        "{\"event\":\"media\",\"sequenceNumber\":\"%d\",\"media\":{\"track\":\"%s\",\"chunk\":\"%d\",\"timestamp\":\"%d\","
        "\"payload\":\"%s\"},\"streamSid\":\"%s\"}",
        2 + 2 * c->frames + track, track ? "outbound" : "inbound", c->frames + 1, 20 * c->frames, encode(which), c->stream);
    frame_out(c, 1, text, (size_t)n);
    sent++;
}

static int begin(call_t *c, int port, const char *signature) {
    char text[TEXT_MAX];
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, n = 0;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (struct sockaddr *)&at, sizeof at)) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    n = snprintf(text, sizeof text,
        "GET /twilio/media-stream HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-twilio-signature: %s\r\n\r\n",
        port, signature);
    if (send(c->fd, text, (size_t)n, 0) != n) die("send");
    size_t got = 0;
    while (got < 4 || memcmp(text + got - 4, "\r\n\r\n", 4)) {
        if (got == sizeof text - 1 || recv(c->fd, text + got, 1, 0) != 1) return 0;
        text[++got] = 0;
    }
    if (strncmp(text, "HTTP/1.1 101", 12)) return 0;
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    n = snprintf(text, sizeof text, "{\"event\":\"connected\",\"protocol\":\"Call\",\"version\":\"1.0.0\"}");
    frame_out(c, 1, text, (size_t)n);
    n = snprintf(text, sizeof text,
        "{\"event\":\"start\",\"sequenceNumber\":\"1\",\"start\":{\"accountSid\":\"AC\",\"streamSid\":\"%s\",\"callSid\":\"%s\","
        "\"tracks\":[\"inbound\",\"outbound\"],\"mediaFormat\":{\"encoding\":\"audio/x-mulaw\",\"sampleRate\":8000,"
        "\"channels\":1},\"customParameters\":{\"token\":\"%s\"}},\"streamSid\":\"%s\"}",
        c->stream, c->leg, c->token, c->stream);
    frame_out(c, 1, text, (size_t)n);
    return 1;
}

/* Answers of the server: a pong tells the way there and back, a close that the call is lost. */
static void hear(call_t *c) {
    unsigned char in[512];
    ssize_t n = recv(c->fd, in, sizeof in, MSG_DONTWAIT);
    for (ssize_t at = 0; at + 1 < n; at += 2 + (in[at + 1] & 127)) {
        int opcode = in[at] & 15;
        if (opcode == 10 && c->pinged_us && trips < SAMPLES) trip_us[trips++] = now_us() - c->pinged_us, c->pinged_us = 0;
        if (opcode == 9) frame_out(c, 10, (char *)in + at + 2, in[at + 1] & 127);
        if (opcode == 8) n = 0;
    }
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        close(c->fd);
        c->fd = -1;
        lost += c->frames < last_frame;
    }
}

static void put(const char *name, int64_t *values, size_t n) {
    printf("%s", name);
    for (size_t i = 0; i < n; i++) printf(" %lld", (long long)values[i]);
    printf("\n");
}

int main(int argc, char **argv) {
    if (argc != 8) return 2;
    int port = atoi(argv[1]), flood = !strcmp(argv[7], "flood"), apart = !strcmp(argv[7], "apart");
    last_frame = atoi(argv[5]) * 50;
    double rate = atof(argv[6]);
    FILE *file = fopen(argv[4], "rb");
    if (!file) die(argv[4]);
    fseek(file, 0, SEEK_END);
    pool_frames = (size_t)ftell(file) / FRAME;
    pool = malloc(pool_frames * FRAME);
    rewind(file);
    if (fread(pool, FRAME, pool_frames, file) != pool_frames) die("pool");
    encode(0);
    call_t *calls = calloc(100000, sizeof *calls);
    int n = 0, begun = 0, ended = 0, said = 0;
    file = fopen(argv[3], "r");
    while (fscanf(file, "%39s %39s %79s", calls[n].leg, calls[n].stream, calls[n].token) == 3) calls[n].index = n, n++;
    struct pollfd *watch = calloc((size_t)n, sizeof *watch);
    int64_t start = now_us(), told = 0, heard = 0;
    while (ended < n) {
        int64_t now = now_us(), next = now + 20000;
        while (begun < n && now >= start + (int64_t)(begun * 1e6 / rate)) {
            call_t *c = &calls[begun++];
            if (!begin(c, port, argv[2])) { refused++; close(c->fd); c->fd = -1; c->frames = last_frame; ended++; }
            c->due_us = now_us();
        }
        if (begun < n) next = start + (int64_t)(begun * 1e6 / rate);
        if (begun == n && !told) told = now + 1000000;
        if (told && now >= told && !said++) { printf("begin %ld\n", sent); fflush(stdout); }
        for (int i = 0; i < begun; i++) {
            call_t *c = &calls[i];
            if (c->frames == last_frame) continue;
            if (c->out_len) flush(c);
            if (flood ? c->out_len == 0 && said : now >= c->due_us) {
                if (!flood && lates < SAMPLES && c->frames % 16 == 0) late_us[lates++] = now - c->due_us;
                if (apart) {
                    media(c, c->half);
                    c->due_us += 10000;
                } else {
                    media(c, 0), media(c, 1);
                    c->due_us += 20000;
                }
                if (apart && !c->half) { c->half = 1; continue; }
                c->half = 0;
                if (++c->frames % 50 == i % 50 && c->fd >= 0 && !c->pinged_us) {
                    c->pinged_us = now_us();
                    frame_out(c, 9, "", 0);
                }
                if (c->frames == last_frame) {
                    if (!ended++) { printf("end %ld\n", sent); fflush(stdout); }
                    const char *stop = "{\"event\":\"stop\",\"sequenceNumber\":\"9\",\"stop\":{}}";
                    frame_out(c, 1, stop, strlen(stop));
                }
            }
            if (c->due_us < next) next = c->due_us;
        }
        if (now - heard > 1000) { /* a look at all sockets, 1,000 times per second at most */
            heard = now;
            for (int i = 0; i < begun; i++) watch[i] = (struct pollfd){.fd = calls[i].fd, .events = POLLIN};
            if (poll(watch, (nfds_t)begun, 0) > 0)
                for (int i = 0; i < begun; i++)
                    if (calls[i].fd >= 0 && watch[i].revents) hear(&calls[i]);
        }
        int64_t wait = next - now_us();
        if (flood) wait = 100;
        if (wait > 1000) wait = 1000;
        if (wait > 0) usleep((useconds_t)wait);
    }
    for (int64_t until = now_us() + 60000000; now_us() < until; usleep(1000)) { /* what the sockets did not take yet */
        int waiting = 0;
        for (int i = 0; i < n; i++)
            if (calls[i].fd >= 0 && calls[i].out_len) flush(&calls[i]), waiting++;
        if (!waiting) break;
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("sent %ld\nrefused %ld\nlost %ld\n", sent, refused, lost);
    printf("cpu_us %lld\n", (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000LL + used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    printf("took_us %lld\n", (long long)(now_us() - start));
    put("late_us", late_us, lates);
    put("trip_us", trip_us, trips);
    fflush(stdout);
    getchar(); /* the sockets stay until the reader of these lines says so */
    return 0;
}
