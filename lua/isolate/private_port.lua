--- Ports that the library needs for itself.

local core = require "isolate.core"

local ports = core.ports

local private_port = {}

local Private = { __close = core.port_close }
Private.__index = Private
Private.close = core.port_close

--- It keeps its isolate alive no more.
function Private:unref()
  if ports[self.id] == self and self.keep_alive ~= false then core.alive(-1) end
  self.keep_alive = false
end

--- A port for one purpose: `deliver(self, ok, ...)` gets its messages.
function private_port.new(deliver)
  local self = { deliver = deliver, send_port = false, id = false }  -- of its final size
  return core.port_open(setmetatable(self, Private))
end

--- The port of this isolate's control port: what is sent there that is not a
-- control message. For an isolate that is to be reached before it has run.
---@return isolate.ReceivePort
function private_port.own()
  local self = core.receive_port()
  local control, _, _, _, _, id = core.self()
  self.send_port, self.id, ports[id] = control, id, self
  core.alive(1)
  return self
end

return private_port
