// The client of libwebsockets: what its one callback tells is put aside, and what is to be sent waits until it may.
#include <libwebsockets.h>

#include "cases.h"

enum { QUEUE = 8 };

struct outgoing {
  unsigned char *data;
  size_t length;
  enum lws_write_protocol kind;
};

struct connection {
  struct lws *wsi;
  bool is_open, is_over, is_ponged;
  int status;
  struct message messages[QUEUE], partial;
  int received, taken;
  struct outgoing outgoing[QUEUE];
  int queued, sent;
  int close_code;
  char close_reason[124];
  bool wants_close;
  struct closed closed;
  char closed_reason[124];
};

static struct lws_context *context;
static const char *port;

static int callback (struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length) {
  struct connection *connection = lws_get_opaque_user_data(wsi);
  if (connection == NULL) return 0;
  switch (reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
      connection->is_open = true;
      break;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
      connection->status = lws_http_client_http_response(wsi);
      connection->is_over = true;
      break;
    case LWS_CALLBACK_CLIENT_RECEIVE: {
      struct message *partial = &connection->partial;
      partial->data = realloc(partial->data, partial->length + length + 1);
      memcpy((char *) partial->data + partial->length, in, length);
      partial->length += length;
      if (lws_is_first_fragment(wsi)) partial->is_text = !lws_frame_is_binary(wsi);
      if (lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0) {
        connection->messages[connection->received++] = *partial;
        memset(partial, 0, sizeof *partial);
      }
      break;
    }
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
      connection->is_ponged = length == 4 && memcmp(in, "ping", 4) == 0;
      break;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
      if (connection->sent < connection->queued) {
        struct outgoing *outgoing = &connection->outgoing[connection->sent++];
        if (lws_write(wsi, outgoing->data + LWS_PRE, outgoing->length, outgoing->kind) < 0) return -1;
        lws_callback_on_writable(wsi);
      } else if (connection->wants_close) {
        lws_close_reason(wsi, connection->close_code, (unsigned char *) connection->close_reason, strlen(connection->close_reason));
        return -1;
      }
      break;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
      if (length >= 2) {
        unsigned char *payload = in;
        connection->closed.code = payload[0] << 8 | payload[1];
        memcpy(connection->closed_reason, payload + 2, length - 2);
        connection->closed.reason = connection->closed_reason;
      }
      break;
    case LWS_CALLBACK_CLIENT_CLOSED:
      connection->is_over = true;
      break;
    default:
      break;
  }
  return 0;
}

static const struct lws_protocols protocols[] = {
  { .name = "cases", .callback = callback, .rx_buffer_size = 65536 },
  { 0 }
};

static const struct lws_extension extensions[] = {
  { "permessage-deflate", lws_extension_callback_pm_deflate, "permessage-deflate; client_max_window_bits" },
  { 0 }
};

static void queue (struct connection *connection, const void *data, size_t length, enum lws_write_protocol kind) {
  struct outgoing *outgoing = &connection->outgoing[connection->queued++];
  outgoing->data = malloc(LWS_PRE + length + 1);
  memcpy(outgoing->data + LWS_PRE, data, length);
  outgoing->length = length;
  outgoing->kind = kind;
  lws_callback_on_writable(connection->wsi);
}

/** Only for messages that all are compressed: see `cannot`. */
static void set_extensions (bool is_wanted) {
  if (context != NULL) lws_context_destroy(context);
  context = lws_create_context(&(struct lws_context_creation_info) {
    .port = CONTEXT_PORT_NO_LISTEN, .protocols = protocols, .extensions = is_wanted ? extensions : NULL, .gid = -1, .uid = -1
  });
}

static struct connection *open_connection (const char *name, struct refused *refused) {
  set_extensions(strcmp(name, "compressed") == 0);
  char path[32];
  snprintf(path, sizeof path, "/%s", name);
  struct connection *connection = calloc(1, sizeof *connection);
  lws_client_connect_via_info(&(struct lws_client_connect_info) {
    .context = context, .address = "127.0.0.1", .port = atoi(port), .path = path, .host = "127.0.0.1", .origin = NULL,
    .pwsi = &connection->wsi, .opaque_user_data = connection, .local_protocol_name = "cases"
  });
  while (!connection->is_open && !connection->is_over) lws_service(context, 0);
  if (connection->is_open) return connection;
  refused->status = connection->status;
  return NULL;
}

static void send_message (struct connection *connection, const struct message *message) {
  queue(connection, message->data, message->length, message->is_text ? LWS_WRITE_TEXT : LWS_WRITE_BINARY);
}

static void send_fragments (struct connection *connection, const char *const parts[], int count) {
  for (int i = 0; i < count; i++) {
    int kind = i == 0 ? LWS_WRITE_TEXT : LWS_WRITE_CONTINUATION;
    queue(connection, parts[i], strlen(parts[i]), i == count - 1 ? kind : kind | LWS_WRITE_NO_FIN);
  }
}

static struct message *next_message (struct connection *connection) {
  while (!connection->is_over && connection->taken == connection->received) lws_service(context, 0);
  return connection->taken == connection->received ? NULL : &connection->messages[connection->taken++];
}

static bool ping (struct connection *connection, const char *data) {
  queue(connection, data, strlen(data), LWS_WRITE_PING);
  while (!connection->is_over && !connection->is_ponged) lws_service(context, 0);
  return connection->is_ponged;
}

static void close_connection (struct connection *connection, int code, const char *reason) {
  connection->close_code = code;
  strcpy(connection->close_reason, reason);
  connection->wants_close = true;
  lws_callback_on_writable(connection->wsi);
}

static void wait_closed (struct connection *connection, struct closed *closed) {
  while (!connection->is_over) lws_service(context, 0);
  *closed = connection->closed;
}

int main (int argc, char *argv[]) {
  port = strrchr(argv[1], ':') + 1;
  lws_set_log_level(0, NULL);
  run_cases(&(struct client) {
    .open = open_connection, .send = send_message, .next = next_message, .send_fragments = send_fragments, .ping = ping,
    .close = close_connection, .wait_closed = wait_closed,
    .cannot = (const char *[][2]) {
      { "inflating", "where compression was agreed on, it gives a message that is not compressed to its callback repeatedly" },
      { NULL, NULL }
    }
  });
  lws_context_destroy(context);
}
