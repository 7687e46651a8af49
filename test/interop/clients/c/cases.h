// The cases that every client program goes through, for clients in C.
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct connection;

struct message {
  bool is_text;
  void *data;
  size_t length;
};

struct closed {
  int code;
  /** NULL: the client does not tell it. */
  const char *reason;
};

struct refused {
  /** 0: the client does not tell it. */
  int status;
};

struct client {
  /** NULL: refused. */
  struct connection *(*open) (const char *name, struct refused *refused);
  void (*send) (struct connection *connection, const struct message *message);
  /** NULL: the connection ended. */
  struct message *(*next) (struct connection *connection);
  void (*send_fragments) (struct connection *connection, const char *const parts[], int count);
  /** Sends a Ping, and returns whether a Pong with the same payload came. */
  bool (*ping) (struct connection *connection, const char *data);
  void (*close) (struct connection *connection, int code, const char *reason);
  void (*wait_closed) (struct connection *connection, struct closed *closed);
  /** Names and reasons; the last has NULL. */
  const char *(*cannot)[2];
};

static const char TEXT[] = "Grüße, 你好, 👋";

static const char *reason_why_not (const struct client *client, const char *name) {
  for (int i = 0; client->cannot[i][0] != NULL; i++) if (strcmp(client->cannot[i][0], name) == 0) return client->cannot[i][1];
  return NULL;
}

static bool is_echoed (const struct client *client, struct connection *connection, struct message message) {
  struct message *answer = client->next(connection);
  return answer != NULL && answer->is_text == message.is_text && answer->length == message.length &&
    (message.length == 0 || memcmp(answer->data, message.data, message.length) == 0);
}

/** What the cases do between the handshake and the end; returns what was wrong, or NULL. */
static const char *converse (const struct client *client, struct connection *connection, const char *name) {
  static unsigned char bytes[256], large[300000], digits[300000];
  for (int i = 0; i < 256; i++) bytes[i] = i;
  for (int i = 0; i < 300000; i++) {
    large[i] = i * 7 + (i >> 8);
    digits[i] = '0' + i % 10;
  }
  struct message text = { true, (void *) TEXT, strlen(TEXT) };
  struct message messages[3];
  int count = 0;
  if (strcmp(name, "text") == 0) messages[count++] = text;
  if (strcmp(name, "binary") == 0) messages[count++] = (struct message) { false, bytes, 256 };
  if (strcmp(name, "large") == 0) messages[count++] = (struct message) { false, large, 300000 };
  if (strcmp(name, "empty") == 0) {
    messages[count++] = (struct message) { true, "", 0 };
    messages[count++] = (struct message) { false, "", 0 };
  }
  if (strcmp(name, "compressed") == 0) {
    messages[count++] = (struct message) { true, digits, 300000 };
    messages[count++] = (struct message) { false, large, 300000 };
    messages[count++] = (struct message) { true, digits, 300000 };
  }
  for (int i = 0; i < count; i++) {
    client->send(connection, &messages[i]);
    if (!is_echoed(client, connection, messages[i])) return "another answer, or none";
  }
  if (strcmp(name, "fragments") == 0) {
    client->send_fragments(connection, (const char *const[]) { "Grüße, ", "你好, ", "👋" }, 3);
    if (!is_echoed(client, connection, text)) return "another answer, or none";
  }
  if (strcmp(name, "fragmented") == 0 || strcmp(name, "cut") == 0) {
    if (!is_echoed(client, connection, text)) return "another message, or none";
    client->send(connection, &text);
  }
  if (strcmp(name, "ping") == 0 && !client->ping(connection, "ping")) return "another Pong, or none";
  if (strcmp(name, "pong") == 0) {
    char ponged[] = "ponged are you there?";
    if (!is_echoed(client, connection, (struct message) { true, ponged, strlen(ponged) })) return "another message, or none";
  }
  return NULL;
}

static void run_cases (const struct client *client) {
  const char *names[] = {
    "text", "binary", "empty", "large", "fragments", "fragmented", "cut", "compressed", "ping", "pong", "close", "closed",
    "refused/401", "refused/403", "refused/503"
  };
  for (int i = 0; i < 15; i++) {
    const char *name = names[i];
    const char *cannot = reason_why_not(client, name);
    printf("{\"case\":\"%s\"", name);
    if (cannot != NULL) {
      printf(",\"cannot\":\"%s\"}\n", cannot);
      continue;
    }
    struct refused refused = { 0 };
    struct closed closed = { 0 };
    struct connection *connection = client->open(name, &refused);
    if (strncmp(name, "refused/", 8) == 0) {
      if (connection != NULL) printf(",\"error\":\"it was not refused\"");
      else if (refused.status != 0) printf(",\"status\":%d", refused.status);
    } else if (connection == NULL) {
      printf(",\"error\":\"it was refused with %d\"", refused.status);
    } else {
      const char *error = converse(client, connection, name);
      if (error != NULL) printf(",\"error\":\"%s\"", error);
      bool is_close = strcmp(name, "close") == 0, is_closed = strcmp(name, "closed") == 0;
      if (is_close) client->close(connection, 4001, "bye, 世界");
      else if (!is_closed) client->close(connection, 1000, "");
      if (error == NULL) client->wait_closed(connection, &closed);
      if (is_close || is_closed) {
        if (closed.code != 0) printf(",\"code\":%d", closed.code);
        if (closed.reason != NULL) printf(",\"reason\":\"%s\"", closed.reason);
      }
    }
    printf("}\n");
    fflush(stdout);
  }
  const char *inflating = reason_why_not(client, "inflating");
  if (inflating != NULL) printf("{\"case\":\"inflating\",\"cannot\":\"%s\"}\n", inflating);
}
