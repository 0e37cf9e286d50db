--- Ports: where messages arrive. A port is an id in its isolate's one mailbox;
-- the loop hands each message to the object here that has the id.

local require, string = require, string
local core = require "isolate.core"
require "isolate.stream"  -- not inside of the next: that much stack would be a page more
local buffer = require "isolate.buffer"

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
  core.alive(1)
  return self
end

-- Closes it; false if it was closed.
local function close(self)
  if ports[self.id] ~= self then return false end
  ports[self.id], handlers[self.id] = nil, nil
  core.port_closed(self.id)
  if self.keep_alive ~= false then core.alive(-1) end
  return true
end

-- A message could not be built: an uncaught error that names the port.
local function undeliverable(self, value)
  local name = self.name and ("port '" .. self.name .. "'") or "a port"
  require "isolate.loop".uncaught("a message to " .. name .. " could not be received: "
    .. require "isolate.errors".message(value))
end

local function check_self(self, class, name, level)
  if getmetatable(self) ~= class then
    require "isolate.errors".bad_self(string.sub(class.__name, 9), self, name, level or 3)
  end
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
    require "isolate.errors".expected("string", name, 1, "ReceivePort", 2)
  end
  return open(receive_port(name))
end

function ReceivePort:deliver(ok, message)
  if ok then self:add(message) else undeliverable(self, message) end
end

-- Without a loop there is nothing else to do.
function ReceivePort:look(timeout)
  if ports[self.id] ~= self then return end
  local pull = core.loop and core.loop.pull or core.pull
  local ok, message = pull(self.id, timeout and 0)
  if self.closed then return end  -- by what was called to build the message
  if ok == false then undeliverable(self, message) end
  return ok, message
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

-- For the other rooms of ports.
port.open, port.close, port.undeliverable = open, close, undeliverable
port.check_self, port.receive_port = check_self, receive_port

port.ReceivePort = setmetatable({
  from_raw = function(...) return require "isolate.raw_port".from_raw(...) end,
}, { __call = new_receive_port })

return port
