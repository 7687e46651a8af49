-- The client of lua-http, and the cases that every client program goes through.
local websocket = require 'http.websocket'

local url = arg[1]
local TEXT = 'Grüße, 你好, 👋'
local PARTS = { 'Grüße, ', '你好, ', '👋' }
local CANNOT = {
  compressed = 'it offers no extensions',
  ping = 'it keeps Pongs to itself',
}

local bytes, large = {}, {}
for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
for i = 0, 299999 do large[#large + 1] = string.char((i * 7 + math.floor(i / 256)) % 256) end
bytes, large = table.concat(bytes), table.concat(large)
local digits = ('0123456789'):rep(30000)

local function quote(text) return '"' .. text:gsub('[\\"]', '\\%0'):gsub('\n', ' ') .. '"' end

local function tell(name, outcome) io.write('{"case":', quote(name), outcome or '', '}\n') io.flush() end

local function expect(socket, data, kind)
  local answer, answer_kind = socket:receive()
  assert(answer == data and answer_kind == kind, 'another answer, or none')
end

local function attempt(name, act)
  if CANNOT[name] then return tell(name, ',"cannot":' .. quote(CANNOT[name])) end
  local socket = websocket.new_from_uri(url .. '/' .. name)
  local is_open, message = socket:connect()
  if not is_open then
    -- The status is not told: "status code not 101".
    return tell(name, name:find('^refused') and '' or ',"error":' .. quote(message))
  end
  local is_done, outcome = pcall(act, socket)
  tell(name, is_done and outcome or not is_done and ',"error":' .. quote(tostring(outcome)) or '')
end

local function echo(...)
  local messages = { ... }
  return function(socket)
    for _, message in ipairs(messages) do
      assert(socket:send(message[1], message[2]))
      expect(socket, message[1], message[2])
    end
    socket:close()
  end
end

local function closed(socket)
  return (',"code":%d,"reason":%s'):format(socket.got_close_code, quote(socket.got_close_message or ''))
end

attempt('text', echo({ TEXT, 'text' }))
attempt('binary', echo({ bytes, 'binary' }))
attempt('empty', echo({ '', 'text' }, { '', 'binary' }))
attempt('large', echo({ large, 'binary' }))
attempt('fragments', function(socket)
  for i, part in ipairs(PARTS) do
    assert(socket:send_frame({ FIN = i == #PARTS, MASK = true, opcode = i == 1 and 1 or 0, data = part }))
  end
  expect(socket, TEXT, 'text')
  socket:close()
end)
for _, name in ipairs({ 'fragmented', 'cut' }) do
  attempt(name, function(socket)
    expect(socket, TEXT, 'text')
    assert(socket:send(TEXT, 'text'))
    socket:close()
  end)
end
attempt('compressed')
attempt('ping')
attempt('pong', function(socket)
  expect(socket, 'ponged are you there?', 'text')
  socket:close()
end)
attempt('close', function(socket)
  socket:close(4001, 'bye, 世界')
  return closed(socket)
end)
attempt('closed', function(socket)
  socket:receive()
  return closed(socket)
end)
for _, status in ipairs({ 401, 403, 503 }) do
  attempt('refused/' .. status, function() error('it was not refused') end)
end
