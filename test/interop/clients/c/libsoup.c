// The client of libsoup 3, which WebKitGTK and GNOME use.
#include <libsoup/soup.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cases.h"

struct connection {
  SoupWebsocketConnection *socket;
  GQueue messages;
  bool is_over;
};

static SoupSession *session;
static const char *base;

static void on_message (SoupWebsocketConnection *socket, SoupWebsocketDataType type, GBytes *bytes, gpointer data) {
  struct connection *connection = data;
  struct message *message = g_new0(struct message, 1);
  message->is_text = type == SOUP_WEBSOCKET_DATA_TEXT;
  message->data = g_bytes_unref_to_data(g_bytes_ref(bytes), &message->length);
  g_queue_push_tail(&connection->messages, message);
}

static void on_closed (SoupWebsocketConnection *socket, gpointer data) {
  ((struct connection *) data)->is_over = true;
}

struct opening {
  SoupWebsocketConnection *socket;
  GError *error;
  bool is_done;
  struct connection *connection;
};

static void on_opened (GObject *source, GAsyncResult *result, gpointer data) {
  struct opening *opening = data;
  opening->socket = soup_session_websocket_connect_finish(session, result, &opening->error);
  opening->is_done = true;
  if (opening->socket == NULL) return;
  g_signal_connect(opening->socket, "message", G_CALLBACK(on_message), opening->connection);
  g_signal_connect(opening->socket, "closed", G_CALLBACK(on_closed), opening->connection);
}

static struct connection *open_connection (const char *name, struct refused *refused) {
  char *url = g_strconcat(base, "/", name, NULL);
  SoupMessage *message = soup_message_new("GET", url);
  g_free(url);
  struct opening opening = { .connection = g_new0(struct connection, 1) };
  g_queue_init(&opening.connection->messages);
  soup_session_websocket_connect_async(session, message, NULL, NULL, G_PRIORITY_DEFAULT, NULL, on_opened, &opening);
  while (!opening.is_done) g_main_context_iteration(NULL, true);
  if (opening.socket == NULL) {
    refused->status = soup_message_get_status(message);
    return NULL;
  }
  soup_websocket_connection_set_max_incoming_payload_size(opening.socket, 1 << 20);
  opening.connection->socket = opening.socket;
  return opening.connection;
}

static void send_message (struct connection *connection, const struct message *message) {
  GBytes *bytes = g_bytes_new(message->data, message->length);
  SoupWebsocketDataType type = message->is_text ? SOUP_WEBSOCKET_DATA_TEXT : SOUP_WEBSOCKET_DATA_BINARY;
  soup_websocket_connection_send_message(connection->socket, type, bytes);
  g_bytes_unref(bytes);
}

static struct message *next_message (struct connection *connection) {
  while (!connection->is_over && g_queue_is_empty(&connection->messages)) g_main_context_iteration(NULL, true);
  return g_queue_pop_head(&connection->messages);
}

static void close_connection (struct connection *connection, int code, const char *reason) {
  soup_websocket_connection_close(connection->socket, code, reason);
}

static void wait_closed (struct connection *connection, struct closed *closed) {
  while (!connection->is_over) g_main_context_iteration(NULL, true);
  const char *reason = soup_websocket_connection_get_close_data(connection->socket);
  closed->code = soup_websocket_connection_get_close_code(connection->socket);
  closed->reason = reason == NULL ? "" : reason;
}

int main (int argc, char *argv[]) {
  base = argv[1];
  session = soup_session_new();
  soup_session_add_feature_by_type(session, SOUP_TYPE_WEBSOCKET_EXTENSION_MANAGER);
  run_cases(&(struct client) {
    .open = open_connection, .send = send_message, .next = next_message, .close = close_connection, .wait_closed = wait_closed,
    .cannot = (const char *[][2]) {
      { "fragments", "it sends whole messages" },
      { "ping", "it keeps Pongs to itself" },
      { NULL, NULL }
    }
  });
}
