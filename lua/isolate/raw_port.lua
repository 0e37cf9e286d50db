--- Raw ports: a message goes to the one handler, or is lost. The loop is not loaded for
-- them: see `serve` in boot.c.

local require, type = require, type
local core = require "isolate.core"

local open, close = core.port_open, core.port_close

local ports, handlers = core.ports, core.handlers

local raw_port = {}

---@class isolate.RawReceivePort
---@field send_port isolate.SendPort
---@field handler function?    called as a task for each message; may be set at any time
---@field keep_alive boolean   does this port keep its isolate alive? (default true)
local RawReceivePort = { __name = "isolate.RawReceivePort", __transfer = false }

local function check_handler(value, name)
  if value ~= nil and type(value) ~= "function" then
    require "isolate.errors".check_function(value, 1, name, true, 4)
  end
end

function RawReceivePort.__index(self, key)
  if key == "keep_alive" then return rawget(self, "alive") end
  if key == "handler" then return rawget(self, "on_message") end
  return RawReceivePort[key]
end

function RawReceivePort:__newindex(key, value)
  if key == "keep_alive" then
    if type(value) ~= "boolean" then
      require "isolate.errors".expected("boolean", value, 1, "keep_alive", 2)
    end
    if ports[self.id] == self and value ~= self.alive then
      core.alive(value and 1 or -1)
    end
    rawset(self, "alive", value)
  elseif key == "handler" then
    check_handler(value, "handler")
    rawset(self, "on_message", value)
    if ports[self.id] == self then handlers[self.id] = value end
  else
    error("a RawReceivePort has no field '" .. require "isolate.errors".show(key) .. "' to be set", 2)
  end
end

function RawReceivePort:deliver(ok, message)
  if not ok then return require "isolate.port".undeliverable(self, message) end
  local handler = rawget(self, "on_message")
  if not handler then return end
  local loop = require "isolate.loop"
  loop.start(loop.uncaught, handler, message)
end

--- Later messages are dropped, and the handler is never called again. Closing
-- twice is fine.
function RawReceivePort:close()
  if getmetatable(self) ~= RawReceivePort then
    require "isolate.errors".bad_self("RawReceivePort", self, "close", 2)
  end
  local taken = rawget(self, "taken")
  if taken then taken:close() else close(self) end
end

RawReceivePort.__close = RawReceivePort.close

--- A port with one handler, which may be set at any time. A message that finds
-- none is lost.
---@param handler function?
---@return isolate.RawReceivePort
function raw_port.RawReceivePort(handler)
  check_handler(handler, "RawReceivePort")
  local self = setmetatable({ alive = true }, RawReceivePort)
  rawset(self, "on_message", handler)
  open(self)
  handlers[self.id] = handler
  return self
end

--- Takes a raw port over, with its SendPorts; no later message is lost.
---@param raw isolate.RawReceivePort
---@return isolate.ReceivePort
function raw_port.from_raw(raw)
  core.check()
  if getmetatable(raw) ~= RawReceivePort then
    require "isolate.errors".expected("RawReceivePort", raw, 1, "from_raw", 2)
  end
  if ports[raw.id] ~= raw then
    error("from_raw: the port is closed, or was taken over already", 2)
  end
  local self = core.receive_port()
  self.send_port, self.id = raw.send_port, raw.id
  rawset(self, "keep_alive", raw.keep_alive)
  rawset(raw, "taken", self)
  ports[self.id], handlers[self.id] = self, nil
  return self
end

return raw_port
