using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Net.WebSockets;
using System.Text;
using System.Threading;

// The client of .NET, System.Net.WebSockets.ClientWebSocket, and the cases that every client program goes through.
static class Program {
  const string Text = "Grüße, 你好, 👋";
  static readonly string[] Parts = { "Grüße, ", "你好, ", "👋" };
  static readonly Dictionary<string, string> Cannot = new Dictionary<string, string> {
    { "compressed", "it offers no extensions" },
    { "ping", "it keeps Pongs to itself" }
  };
  static string url;

  static string Quote(string text) => "\"" + text.Replace("\\", "\\\\").Replace("\"", "\\\"").Replace("\n", " ") + "\"";

  static void Tell(string name, string outcome) {
    var line = Encoding.UTF8.GetBytes("{\"case\":" + Quote(name) + outcome + "}\n");
    using (var stdout = Console.OpenStandardOutput()) stdout.Write(line, 0, line.Length);
  }

  static ClientWebSocket Open(string name) {
    var socket = new ClientWebSocket();
    socket.ConnectAsync(new Uri(url + "/" + name), CancellationToken.None).Wait();
    return socket;
  }

  static void Send(ClientWebSocket socket, object message, bool isLast = true) {
    var bytes = message as byte[] ?? Encoding.UTF8.GetBytes((string) message);
    var type = message is string ? WebSocketMessageType.Text : WebSocketMessageType.Binary;
    socket.SendAsync(new ArraySegment<byte>(bytes), type, isLast, CancellationToken.None).Wait();
  }

  static void Expect(ClientWebSocket socket, object message) {
    var buffer = new byte[65536];
    var all = new MemoryStream();
    WebSocketReceiveResult part;
    do {
      part = socket.ReceiveAsync(new ArraySegment<byte>(buffer), CancellationToken.None).Result;
      all.Write(buffer, 0, part.Count);
    } while (!part.EndOfMessage);
    var answer = all.ToArray();
    var isSame = message is string text
      ? part.MessageType == WebSocketMessageType.Text && Encoding.UTF8.GetString(answer) == text
      : part.MessageType == WebSocketMessageType.Binary && answer.SequenceEqual((byte[]) message);
    if (!isSame) throw new Exception("another answer");
  }

  static string Close(ClientWebSocket socket, int code, string reason) {
    socket.CloseAsync((WebSocketCloseStatus) code, reason, CancellationToken.None).Wait();
    return Closed(socket);
  }

  static string Closed(ClientWebSocket socket) =>
    ",\"code\":" + (int) socket.CloseStatus + ",\"reason\":" + Quote(socket.CloseStatusDescription ?? "");

  static void Attempt(string name, Func<ClientWebSocket, string> act) {
    if (Cannot.ContainsKey(name)) {
      Tell(name, ",\"cannot\":" + Quote(Cannot[name]));
      return;
    }
    ClientWebSocket socket;
    try {
      socket = Open(name);
    } catch (AggregateException failure) {
      // Only in words, and not in all versions: "The server returned status code '401' when status code '101' was expected."
      var status = System.Text.RegularExpressions.Regex.Match(failure.ToString(), @"status code '?(\d{3})");
      Tell(name, name.StartsWith("refused/") ? (status.Success ? ",\"status\":" + status.Groups[1].Value : "") : ",\"error\":" + Quote(failure.ToString()));
      return;
    }
    try {
      Tell(name, act(socket));
    } catch (Exception error) {
      Tell(name, ",\"error\":" + Quote(error.ToString()));
    }
  }

  static Func<ClientWebSocket, string> Echo(params object[] messages) => socket => {
    foreach (var message in messages) {
      Send(socket, message);
      Expect(socket, message);
    }
    Close(socket, 1000, "");
    return "";
  };

  static void Main(string[] args) {
    url = args[0];
    var bytes = Enumerable.Range(0, 256).Select(i => (byte) i).ToArray();
    var large = Enumerable.Range(0, 300000).Select(i => (byte) (i * 7 + (i >> 8))).ToArray();
    var digits = string.Concat(Enumerable.Repeat("0123456789", 30000));
    Attempt("text", Echo(Text));
    Attempt("binary", Echo(bytes));
    Attempt("empty", Echo("", new byte[0]));
    Attempt("large", Echo(large));
    Attempt("fragments", socket => {
      for (var i = 0; i < Parts.Length; i++) Send(socket, Parts[i], i == Parts.Length - 1);
      Expect(socket, Text);
      Close(socket, 1000, "");
      return "";
    });
    foreach (var name in new[] { "fragmented", "cut" }) {
      Attempt(name, socket => {
        Expect(socket, Text);
        Send(socket, Text);
        Close(socket, 1000, "");
        return "";
      });
    }
    Attempt("compressed", Echo(digits, large, digits));
    Attempt("ping", socket => "");
    Attempt("pong", socket => {
      Expect(socket, "ponged are you there?");
      Close(socket, 1000, "");
      return "";
    });
    Attempt("close", socket => Close(socket, 4001, "bye, 世界"));
    Attempt("closed", socket => {
      socket.ReceiveAsync(new ArraySegment<byte>(new byte[1]), CancellationToken.None).Wait();
      var closed = Closed(socket);
      Close(socket, 4002, "");
      return closed;
    });
    foreach (var status in new[] { "401", "403", "503" }) Attempt("refused/" + status, socket => throw new Exception("it was not refused"));
    Environment.Exit(0);
  }
}
