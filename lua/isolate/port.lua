--- Ports: where messages arrive. A port is an id in its isolate's one mailbox; the loop
-- hands each message to the object that has the id, see `core.port_open`.
--
-- What a ReceivePort can do is in C (receiveport.c) where it is all that an isolate
-- needs that only receives; here is what the loop needs of it.

local buffer = require "isolate.buffer"
local core = require "isolate.core"

-- Equal to all others of its port, whichever way they came. `send` copies now, and never
-- waits; it raises for what cannot be sent, and to a closed port the message is dropped.
---@class isolate.SendPort
---@field send fun(self, message: any)

-- Equals only itself, wherever it travels.
---@class isolate.Capability

---@class isolate.ReceivePort : isolate.Stream
---@field send_port isolate.SendPort
---@field name string?      for error messages
---@field close fun(self)   no more messages: those that wait are dropped; twice is fine
local methods = {}

--- A message could not be built: an uncaught error that names the port.
function methods:undeliverable(value)
  local name = self.name and ("port '" .. self.name .. "'") or "a port"
  require "isolate.loop".uncaught("a message to " .. name .. " could not be received: "
    .. require "isolate.errors".message(value))
end

--- From the loop.
function methods:deliver(ok, message)
  if ok then self:add(message) else methods.undeliverable(self, message) end
end

local class = getmetatable(core.receive_port())
class.add, class.deliver = buffer.add, methods.deliver
class.subscription = false  -- nobody listens; where it is looked for with each message

return methods
