// The load generator: raw sockets, frames that were masked beforehand, one thread that waits in epoll. It does what
// load.ts does, at a fraction of the cost, and more. generator.ts compiles it and explains its options.
//
// It prints `counting` and `counted` at both ends of the measured window, in which the runner reads the server's CPU
// time, and one line of JSON at the end.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 256 * 1024, EVENTS = 256, PROBES = 64, PORTS_PER_ADDRESS = 5000 };

static _Noreturn void die(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void tell(const char *line) {
  puts(line);
  fflush(stdout);
}

// ---- options: name=value ----

static int option_count;
static char **options;

static const char *option(const char *name) {
  size_t length = strlen(name);
  for (int i = 1; i < option_count; i++) {
    if (strncmp(options[i], name, length) == 0 && options[i][length] == '=') return options[i] + length + 1;
  }
  return NULL;
}

static long number(const char *name) {
  const char *value = option(name);
  return value == NULL ? 0 : atol(value);
}

static unsigned char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (file == NULL) die("%s: %s", path, strerror(errno));
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  unsigned char *bytes = malloc(*size + 1);
  if (fread(bytes, 1, *size, file) != *size) die("%s: cannot be read", path);
  fclose(file);
  bytes[*size] = 0;
  return bytes;
}

// ---- what is sent ----

static const char *request;
static size_t request_length;
// The frames, and behind them the first ones again: as many as may be in flight are one slice, from any of them on.
static unsigned char *row;
static size_t *offsets;
static int frame_count;
static int depth;

// The file: their number, their lengths (32 bits each, little endian), their bytes.
static void read_frames(const char *path) {
  size_t size;
  unsigned char *file = read_file(path, &size);
  uint32_t count, length;
  memcpy(&count, file, 4);
  frame_count = (int)count;
  offsets = malloc((count + (size_t)depth + 1) * sizeof *offsets);
  offsets[0] = 0;
  for (uint32_t i = 0; i < count + (uint32_t)depth; i++) {
    memcpy(&length, file + 4 + 4 * (i % count), 4);
    offsets[i + 1] = offsets[i] + length;
  }
  row = malloc(offsets[count + (uint32_t)depth]);
  for (size_t at = 0, end = offsets[count + (uint32_t)depth]; at < end;) {
    size_t part = end - at < offsets[count] ? end - at : offsets[count];
    memcpy(row + at, file + 4 + 4 * count, part);
    at += part;
  }
  free(file);
}

// ---- latencies: 32 steps for each power of two of nanoseconds ----

struct latencies {
  uint64_t counts[64 * 32];
  uint64_t total;
};

static void add_latency(struct latencies *all, uint64_t nanoseconds) {
  uint64_t value = nanoseconds < 32 ? 32 : nanoseconds;
  int power = 63 - __builtin_clzll(value);
  all->counts[power * 32 + (int)((value >> (power - 5)) & 31)]++;
  all->total++;
}

static void print_latencies(const char *name, const struct latencies *all) {
  if (all->total == 0) return;
  static const double WANTED[] = { 0.5, 0.99 };
  double found[2] = { 0, 0 };
  for (int w = 0; w < 2; w++) {
    uint64_t below = 0;
    for (int i = 0; i < 64 * 32; i++) {
      below += all->counts[i];
      if ((double)below >= WANTED[w] * (double)all->total) {
        found[w] = (double)((uint64_t)(32 + i % 32) << (i / 32)) / 32 / 1e6;
        break;
      }
    }
  }
  printf(",\"%s\":{\"p50\":%.4f,\"p99\":%.4f}", name, found[0], found[1]);
}

static struct latencies latencies, probe_latencies;

// ---- connections ----

struct connection {
  int fd;
  // Reading: the header of a frame as far as it has come, and what is left of the frame's payload.
  unsigned char header[14];
  unsigned header_length;
  int is_message;
  uint64_t left;
  // Writing: the frame that is next, how many more are to be sent, and what the socket has not taken yet.
  int next;
  int owed;
  size_t out, out_end;
  int is_waiting;
  // When the frames in flight were sent, a ring of `depth`.
  uint64_t *sent_at;
  unsigned sent, answered;
  // As a probe.
  uint64_t asked_at;
};

static int epoll;
static struct connection *connections;
static long connection_count;
static struct sockaddr_in server = { .sin_family = AF_INET };

static void watch(struct connection *c, int operation, uint32_t events) {
  struct epoll_event event = { .events = events, .data.ptr = c };
  if (epoll_ctl(epoll, operation, c->fd, &event) < 0) die("epoll_ctl: %s", strerror(errno));
}

static int connect_from(long index) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket: %s", strerror(errno));
  // One address has too few ports for all connections. The kernel chooses the port once it knows the destination.
  struct sockaddr_in local = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(index / PORTS_PER_ADDRESS)) };
  int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&local, sizeof local) < 0) die("bind: %s", strerror(errno));
  if (connect(fd, (struct sockaddr *)&server, sizeof server) < 0) die("connect: %s", strerror(errno));
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

static void write_all(int fd, const void *bytes, size_t length) {
  for (const char *at = bytes; length > 0;) {
    ssize_t written = write(fd, at, length);
    if (written < 0) die("write: %s", strerror(errno));
    at += written;
    length -= (size_t)written;
  }
}

static void open_connection(struct connection *c, long index) {
  char head[4096];
  size_t length = 0;
  memset(c, 0, sizeof *c);
  c->fd = connect_from(index);
  write_all(c->fd, request, request_length);
  do {
    ssize_t got = read(c->fd, head + length, sizeof head - 1 - length);
    if (got <= 0) die("no answer to the handshake of connection %ld", index);
    length += (size_t)got;
    head[length] = 0;
  } while (strstr(head, "\r\n\r\n") == NULL);
  if (strncmp(head, "HTTP/1.1 101", 12) != 0) die("the handshake was refused: %s", head);
  if (strstr(head, "\r\n\r\n") != head + length - 4) die("more than the 101");
  c->sent_at = calloc((size_t)depth, sizeof *c->sent_at);
}

static void set_nonblocking(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

// ---- frames that come back ----

static unsigned header_needed(const struct connection *c) {
  if (c->header_length < 2) return 2;
  unsigned length = c->header[1] & 0x7f;
  return (length == 126 ? 4 : length == 127 ? 10 : 2) + (c->header[1] & 0x80 ? 4 : 0);
}

static uint64_t payload_length(const unsigned char *header) {
  uint64_t length = header[1] & 0x7f;
  if (length < 126) return length;
  uint64_t sum = 0;
  for (int i = 2; i < (length == 126 ? 4 : 10); i++) sum = sum << 8 | header[i];
  return sum;
}

// How many messages have become complete. Their content is load.ts's business.
static int count_messages(struct connection *c, const unsigned char *at, size_t length) {
  const unsigned char *end = at + length;
  int messages = 0;
  while (at < end) {
    if (c->left == 0) {
      while (at < end && c->header_length < header_needed(c)) c->header[c->header_length++] = *at++;
      if (c->header_length < 2 || c->header_length < header_needed(c)) break;
      int opcode = c->header[0] & 0x8f;
      if (opcode != 0x81 && opcode != 0x82 && opcode != 0x89) die("a frame that starts with %02x", c->header[0]);
      c->is_message = opcode != 0x89;
      c->left = payload_length(c->header);
    }
    uint64_t part = (uint64_t)(end - at) < c->left ? (uint64_t)(end - at) : c->left;
    at += part;
    c->left -= part;
    if (c->left == 0) {
      c->header_length = 0;
      messages += c->is_message;
    }
  }
  return messages;
}

// ---- sending ----

static void flush(struct connection *c, uint64_t time) {
  for (;;) {
    if (c->out == c->out_end) {
      if (c->owed == 0) break;
      int count = c->owed < depth ? c->owed : depth;
      c->out = offsets[c->next];
      c->out_end = offsets[c->next + count];
      c->next = (c->next + count) % frame_count;
      c->owed -= count;
      for (int i = 0; i < count; i++) c->sent_at[c->sent++ % (unsigned)depth] = time;
    }
    ssize_t written = write(c->fd, row + c->out, c->out_end - c->out);
    if (written < 0 && errno != EAGAIN) die("write: %s", strerror(errno));
    if (written > 0) c->out += (size_t)written;
    if (c->out < c->out_end) {
      if (!c->is_waiting) watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
      c->is_waiting = 1;
      return;
    }
  }
  if (c->is_waiting) watch(c, EPOLL_CTL_MOD, EPOLLIN);
  c->is_waiting = 0;
}

static int is_counting;
static uint64_t messages, bytes;

// Echo: what comes back is sent again, at once, or at the wanted rate.
static long rate;

static void on_echo(struct connection *c, int count, uint64_t time) {
  for (int i = 0; i < count; i++) {
    uint64_t sent_at = c->sent_at[c->answered++ % (unsigned)depth];
    if (is_counting) add_latency(&latencies, time - sent_at);
  }
  if (rate == 0) c->owed += count;
}

static uint64_t rate_start, rate_sent;

// A row of messages on one connection after the other, so many in all that the rate is kept; a connection that still
// waits for echoes is left out.
static void keep_rate(uint64_t time) {
  uint64_t due = (uint64_t)((double)(time - rate_start) * (double)rate / 1e9);
  for (; rate_sent + (uint64_t)depth <= due; rate_sent += (uint64_t)depth) {
    struct connection *c = &connections[rate_sent / (uint64_t)depth % (uint64_t)connection_count];
    if (c->sent != c->answered) continue;
    c->owed = depth;
    flush(c, time);
  }
}

// Broadcast: what one connection sends comes to all. A message is over when as many have come as there are connections.
static long senders;
static uint64_t delivered, broadcasts;

static void send_broadcasts(uint64_t time) {
  while (broadcasts < delivered / (uint64_t)connection_count + (uint64_t)depth) {
    long most = senders == 1 ? depth : 1;
    struct connection *c = &connections[broadcasts % (uint64_t)senders];
    while (most-- > 0 && broadcasts < delivered / (uint64_t)connection_count + (uint64_t)depth) {
      c->owed++;
      broadcasts++;
    }
    flush(c, time);
  }
}

static uint64_t broadcast_sent_at[4096];

static void on_broadcast(int count, uint64_t time) {
  for (int i = 0; i < count; i++) {
    if (++delivered % (uint64_t)connection_count != 0) continue;
    uint64_t *sent_at = &broadcast_sent_at[(delivered / (uint64_t)connection_count - 1) % (uint64_t)depth];
    if (is_counting) add_latency(&latencies, time - *sent_at);
    *sent_at = time;
  }
  send_broadcasts(time);
}

// ---- probes: HTTP requests beside the load, so many a second ----

static struct connection probes[PROBES];
static long probe_rate;
static uint64_t probes_sent;

static void keep_probing(uint64_t time) {
  static const char PROBE[] = "GET /http HTTP/1.1\r\nHost: localhost\r\n\r\n";
  uint64_t due = (uint64_t)((double)(time - rate_start) * (double)probe_rate / 1e9);
  for (; probes_sent < due; probes_sent++) {
    struct connection *probe = &probes[probes_sent % PROBES];
    if (probe->asked_at != 0) continue;
    probe->asked_at = time;
    write_all(probe->fd, PROBE, sizeof PROBE - 1);
  }
}

static void on_probe(struct connection *probe, const char *answer, uint64_t time) {
  if (probe->asked_at == 0) return;
  if (strncmp(answer, "HTTP/1.1 200", 12) != 0) die("the probe got %.60s", answer);
  if (is_counting) add_latency(&probe_latencies, time - probe->asked_at);
  probe->asked_at = 0;
}

// ---- handshakes, connection after connection ----

static void open_handshake(struct connection *c, uint64_t time) {
  c->fd = connect_from(0);
  c->asked_at = time;
  write_all(c->fd, request, request_length);
  watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void on_handshake(struct connection *c, const char *answer, size_t length, uint64_t time) {
  if (strncmp(answer, "HTTP/1.1 101", 12) != 0 || strncmp(answer + length - 4, "\r\n\r\n", 4) != 0) die("the handshake got %s", answer);
  if (is_counting) add_latency(&latencies, time - c->asked_at);
  // A reset leaves no port waiting.
  struct linger reset = { 1, 0 };
  setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(c->fd);
  open_handshake(c, time);
}

// ---- heartbeats: Pings of the server, which are answered ----

static int on_beat(struct connection *c, const unsigned char *at, size_t length) {
  int pings = 0;
  for (const unsigned char *end = at + length; at < end; pings++) {
    if (end - at < 2 || at[0] != 0x89 || at[1] > 125 || end - at < 2 + at[1]) die("not a whole Ping");
    // A key of zeros leaves the payload as it is.
    unsigned char pong[6 + 125] = { 0x8a, 0x80 | at[1] };
    memcpy(pong + 6, at + 2, at[1]);
    write_all(c->fd, pong, 6 + (size_t)at[1]);
    at += 2 + at[1];
  }
  return pings;
}

// ---- the loop ----

enum mode { ECHO, BROADCAST, HANDSHAKE, BEAT };

static int is_probe(const struct connection *c) {
  return c >= probes && c < probes + PROBES;
}

static void on_readable(enum mode mode, struct connection *c) {
  static unsigned char chunk[CHUNK + 1];
  ssize_t got = read(c->fd, chunk, CHUNK);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) die("the server has closed the connection");
  uint64_t time = now();
  chunk[got] = 0;
  if (is_probe(c)) return on_probe(c, (char *)chunk, time);
  int count = mode == HANDSHAKE ? 1 : mode == BEAT ? on_beat(c, chunk, (size_t)got) : count_messages(c, chunk, (size_t)got);
  if (is_counting) {
    messages += (uint64_t)count;
    bytes += (uint64_t)got;
  }
  if (mode == HANDSHAKE) return on_handshake(c, (char *)chunk, (size_t)got, time);
  if (mode == BROADCAST) return on_broadcast(count, time);
  if (mode == BEAT) return;
  on_echo(c, count, time);
  flush(c, time);
}

static void start(enum mode mode) {
  uint64_t time = now();
  rate_start = time;
  for (int i = 0; probe_rate > 0 && i < PROBES; i++) {
    probes[i].fd = connect_from(0);
    watch(&probes[i], EPOLL_CTL_ADD, EPOLLIN);
  }
  for (long i = 0; mode != BEAT && i < connection_count; i++) {
    struct connection *c = &connections[i];
    if (mode == HANDSHAKE) {
      open_handshake(c, time);
      continue;
    }
    set_nonblocking(c->fd);
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
    if (mode == ECHO && rate == 0) c->owed = depth;
    flush(c, time);
  }
  for (int i = 0; i < depth; i++) broadcast_sent_at[i] = time;
  if (mode == BROADCAST) send_broadcasts(time);
}

static void run(enum mode mode) {
  uint64_t start_at = now();
  uint64_t counting_at = start_at + (uint64_t)number("warmup") * 1000000;
  uint64_t end_at = counting_at + (uint64_t)number("duration") * 1000000;
  int is_paced = rate > 0 || probe_rate > 0;
  struct epoll_event events[EVENTS];
  start(mode);
  for (;;) {
    int count = epoll_wait(epoll, events, EVENTS, is_paced ? 1 : 10);
    uint64_t time = now();
    if (!is_counting && time >= counting_at) {
      is_counting = 1;
      counting_at = time;
      tell("counting");
    }
    if (time >= end_at) {
      tell("counted");
      end_at = time;
      break;
    }
    for (int i = 0; i < count; i++) {
      struct connection *c = events[i].data.ptr;
      if (events[i].events & EPOLLOUT) flush(c, time);
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) on_readable(mode, c);
    }
    if (rate > 0) keep_rate(time);
    if (probe_rate > 0) keep_probing(time);
  }
  printf("{\"messages\":%lu,\"bytes\":%lu,\"elapsed\":%.3f", messages, bytes, (double)(end_at - counting_at) / 1e6);
  print_latencies("latency", &latencies);
  print_latencies("http", &probe_latencies);
  tell("}");
}

// ---- connections that are only there ----

static void wait_for_runner(void) {
  char line[64];
  if (fgets(line, sizeof line, stdin) == NULL) exit(0);
}

static void hold(void) {
  unsigned char answer[4096];
  tell("connected");
  wait_for_runner();
  for (long i = 0; i < connection_count; i++) {
    struct connection *c = &connections[i];
    write_all(c->fd, row, offsets[1]);
    do {
      ssize_t got = read(c->fd, answer, sizeof answer);
      if (got <= 0) die("no echo on connection %ld", i);
      if (count_messages(c, answer, (size_t)got) > 0) break;
    } while (1);
  }
  tell("talked");
  wait_for_runner();
}

// The window begins when the runner has weighed the server. Pings that come before are answered too.
static void beat(void) {
  struct epoll_event events[EVENTS];
  for (long i = 0; i < connection_count; i++) {
    open_connection(&connections[i], i);
    set_nonblocking(connections[i].fd);
    watch(&connections[i], EPOLL_CTL_ADD, EPOLLIN);
    if (i % 16 != 0) continue;
    int count = epoll_wait(epoll, events, EVENTS, 0);
    for (int e = 0; e < count; e++) on_readable(BEAT, events[e].data.ptr);
  }
  tell("connected");
  wait_for_runner();
  run(BEAT);
}

int main(int argc, char **argv) {
  option_count = argc;
  options = argv;
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);

  const char *mode = option("mode");
  depth = (int)number("depth");
  if (depth < 1 || depth > 4096) die("depth must be from 1 to 4096");
  rate = number("rate");
  probe_rate = number("probes");
  senders = number("senders");
  connection_count = number("connections");
  server.sin_port = htons((uint16_t)number("port"));
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  request = (const char *)read_file(option("request"), &request_length);
  read_frames(option("frames"));
  epoll = epoll_create1(EPOLL_CLOEXEC);
  connections = calloc((size_t)connection_count, sizeof *connections);
  if (strcmp(mode, "handshake") == 0) {
    run(HANDSHAKE);
    return 0;
  }
  if (strcmp(mode, "beat") == 0) {
    beat();
    return 0;
  }
  for (long i = 0; i < connection_count; i++) open_connection(&connections[i], i);
  if (strcmp(mode, "hold") == 0) hold();
  else run(strcmp(mode, "broadcast") == 0 ? BROADCAST : ECHO);
  return 0;
}
