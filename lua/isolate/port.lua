--- Ports: where messages arrive. A port is an id in its isolate's one mailbox;
-- the loop hands each message to the object here that has the id.

local string = string
local buffer = require "isolate.buffer"
local core = require "isolate.core"
local errors = require "isolate.errors"
local loop = require "isolate.loop"

local expected = errors.expected

local ports, handlers = core.ports, core.handlers

local port = {}

------------------------------------------------------------------------------
-- What all kinds have in common

-- Opens a port for `self`: messages come to `self:deliver(ok, message)`.
local function open(self)
  local send_port, id = core.port()
  rawset(self, "send_port", send_port)
  rawset(self, "id", id)
  ports[id] = self
  loop.alive = loop.alive + 1
  return self
end

-- Closes it; false if it was closed.
local function close(self)
  if ports[self.id] ~= self then return false end
  ports[self.id], handlers[self.id] = nil, nil
  core.port_closed(self.id)
  if self.keep_alive ~= false then loop.alive = loop.alive - 1 end
  return true
end

local Private = { __close = close }
Private.__index = Private
Private.close = close

--- It keeps its isolate alive no more.
function Private:unref()
  if ports[self.id] == self and self.keep_alive ~= false then loop.alive = loop.alive - 1 end
  self.keep_alive = false
end

--- A port for one purpose: `deliver(self, ok, ...)` gets its messages.
function port.private(deliver)
  return open(setmetatable({ deliver = deliver }, Private))
end

-- A message could not be built: an uncaught error that names the port.
local function undeliverable(self, value)
  local name = self.name and ("port '" .. self.name .. "'") or "a port"
  loop.uncaught("a message to " .. name .. " could not be received: " .. errors.message(value))
end

local function check_self(self, class, name, level)
  if getmetatable(self) ~= class then
    errors.bad_self(string.sub(class.__name, 9), self, name, level or 3)
  end
end

------------------------------------------------------------------------------
-- RawReceivePort

---@class isolate.RawReceivePort
---@field send_port isolate.SendPort
---@field handler function?    called as a task for each message; may be set at any time
---@field keep_alive boolean   does this port keep its isolate alive? (default true)
local RawReceivePort = { __name = "isolate.RawReceivePort", __transfer = false }

function RawReceivePort.__index(self, key)
  if key == "keep_alive" then return rawget(self, "alive") end
  if key == "handler" then return rawget(self, "on_message") end
  return RawReceivePort[key]
end

function RawReceivePort:__newindex(key, value)
  if key == "keep_alive" then
    if type(value) ~= "boolean" then expected("boolean", value, 1, "keep_alive", 2) end
    if ports[self.id] == self and value ~= self.alive then
      loop.alive = loop.alive + (value and 1 or -1)
    end
    rawset(self, "alive", value)
  elseif key == "handler" then
    errors.check_function(value, 1, "handler", true)
    rawset(self, "on_message", value)
    if ports[self.id] == self then handlers[self.id] = value end
  else
    error("a RawReceivePort has no field '" .. errors.show(key) .. "' to be set", 2)
  end
end

function RawReceivePort:deliver(ok, message)
  if not ok then return undeliverable(self, message) end
  local handler = rawget(self, "on_message")
  if handler then loop.start(loop.uncaught, handler, message) end
end

--- Later messages are dropped, and the handler is never called again. Closing
-- twice is fine.
function RawReceivePort:close()
  check_self(self, RawReceivePort, "close")
  local taken = rawget(self, "taken")
  if taken then taken:close() else close(self) end
end

RawReceivePort.__close = RawReceivePort.close

--- A port with one handler, which may be set at any time. A message that finds
-- none is lost.
---@param handler function?
---@return isolate.RawReceivePort
function port.RawReceivePort(handler)
  errors.check_function(handler, 1, "RawReceivePort", true)
  local self = setmetatable({ alive = true }, RawReceivePort)
  rawset(self, "on_message", handler)
  open(self)
  handlers[self.id] = handler
  return self
end

------------------------------------------------------------------------------
-- ReceivePort

---@class isolate.ReceivePort : isolate.Stream
---@field send_port isolate.SendPort
---@field name string?
local ReceivePort = buffer.class "isolate.ReceivePort"

local end_stream = ReceivePort.close

-- Fields of the other kind of port would have no effect here.
function ReceivePort:__newindex(key, value)
  if key == "handler" or key == "keep_alive" then
    error("a ReceivePort has no '" .. key .. "' to be set: do you mean a RawReceivePort?", 2)
  end
  rawset(self, key, value)
end

local function receive_port(name)
  return setmetatable(buffer.fill { name = name }, ReceivePort)
end

--- A port whose messages wait in it until somebody asks.
---@param name string?  for error messages
---@return isolate.ReceivePort
local function new_receive_port(_, name)
  if name ~= nil and type(name) ~= "string" then
    expected("string", name, 1, "ReceivePort", 2)
  end
  return open(receive_port(name))
end

--- The port of this isolate's control port: what is sent there that is not a
-- control message. For an isolate that is to be reached before it has run.
---@return isolate.ReceivePort
function port.own()
  local self = receive_port()
  local control, _, _, _, _, id = core.self()
  self.send_port, self.id, ports[id] = control, id, self
  loop.alive = loop.alive + 1
  return self
end

--- Takes a raw port over, with its SendPorts; no later message is lost.
---@param raw isolate.RawReceivePort
---@return isolate.ReceivePort
local function from_raw(raw)
  core.check()
  if getmetatable(raw) ~= RawReceivePort then
    expected("RawReceivePort", raw, 1, "from_raw", 2)
  end
  if ports[raw.id] ~= raw then
    error("from_raw: the port is closed, or was taken over already", 2)
  end
  local self = receive_port()
  self.send_port, self.id = raw.send_port, raw.id
  rawset(self, "keep_alive", raw.keep_alive)
  rawset(raw, "taken", self)
  ports[self.id], handlers[self.id] = self, nil
  return self
end

function ReceivePort:deliver(ok, message)
  if ok then self:add(message) else undeliverable(self, message) end
end

function ReceivePort:pass_to(handler)
  if ports[self.id] == self then handlers[self.id] = handler end
end

--- No more messages: those that wait are dropped, whoever waits is told, and
-- `on_done` follows. Closing twice is fine.
function ReceivePort:close()
  check_self(self, ReceivePort, "close")
  if close(self) then end_stream(self) end
end

ReceivePort.__close = ReceivePort.close

port.ReceivePort = setmetatable({ from_raw = from_raw }, { __call = new_receive_port })

return port
