--- Names of ports, known to all isolates of the process: Flutter's IsolateNameServer.

local core = require "isolate.core"
local expected = require "isolate.errors".expected

local names = {}

local PREFIX = "port "          -- services and broadcasts have names of their own

local function check_name(value, name)
  if type(value) ~= "string" then expected("string", value, 1, name, 3) end
end

--- Gives a port a name, which is free again when the port has closed.
---@param name string
---@param send_port isolate.SendPort
---@return boolean registered  false if another port has it
function names.register(name, send_port)
  check_name(name, "register")
  if core.kind(send_port) ~= "SendPort" then expected("SendPort", send_port, 2, "register", 2) end
  return core.name_add(PREFIX .. name, send_port, true)
end

--- The port of that name, or nil.
---@param name string
---@return isolate.SendPort?
function names.lookup(name)
  check_name(name, "lookup")
  return (core.name_find(PREFIX .. name))
end

--- Takes a name from its port.
---@param name string
---@return boolean removed  false if no port had it
function names.remove(name)
  check_name(name, "remove")
  return core.name_remove(PREFIX .. name)
end

return names
