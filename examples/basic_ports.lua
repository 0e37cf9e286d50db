-- basic_ports.lua: the tutorials' Worker. Two isolates that exchange ports first and messages afterwards:
-- one parses JSON for the other, until the other has had enough. The tutorials' ports stay open, so they never end; here
-- both are closed. (examples/tutorial/robust_ports.lua adds what a program in use needs.)
-- Run it:  lua5.4 examples/basic_ports.lua
local Isolate = require "isolate"
local json = require "cjson"

local Worker = {}
Worker.__index = Worker

local function main()
  local worker = Worker.new()
  worker:spawn()
  worker:parse_json '{"name": "isolate", "stars": 5, "tags": ["ports", "messages"]}'
  worker:parse_json '{"key": "value"}'
  worker:close()
  Isolate.loop()                                       -- until no port is open any more
  print "both ports are closed"
end

function Worker.new()
  return setmetatable({ready = Isolate.Completer.sync()}, Worker)
end

local start_remote_isolate, show                       -- below

-- Starts the other isolate. It tells us its port; that it has ended is the last thing we hear.
function Worker:spawn()
  self.responses = Isolate.ReceivePort()
  self.responses:listen(function(message) self:handle_response(message) end)
  local port = self.responses.send_port
  Isolate.spawn(start_remote_isolate, port, {name = "parser", on_exit = port})
end

-- Waits until the other isolate is there, and sends it `text`.
function Worker:parse_json(text)
  self.ready.future:await()
  self.commands:send(text)
end

-- Asks the other isolate to end, after all that was sent before.
function Worker:close()
  self.ready.future:await()
  self.commands:send "shutdown"
end

-- Takes the other isolate's port, then results; nil says that it has ended.
function Worker:handle_response(message)
  if message == nil then
    self.responses:close()
    if not self.commands then self.ready:complete_error "the worker did not start" end
  elseif not self.commands then
    self.commands = message
    self.ready:complete()
  else
    print(show(message))
  end
end

-- Runs in the other isolate: what it knows is what comes in messages.
function start_remote_isolate(port)
  local commands <const> = Isolate.ReceivePort()
  port:send(commands.send_port)
  commands:listen(function(message)
    if message == "shutdown" then
      commands:close()
    else
      port:send(json.decode(message))
    end
  end)
end

-- A decoded value as text, its keys in order.
function show(value)
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  if #value > 0 then
    for i, item in ipairs(value) do parts[i] = show(item) end
    return "[" .. table.concat(parts, ", ") .. "]"
  end
  for key, item in pairs(value) do parts[#parts + 1] = key .. ": " .. show(item) end
  table.sort(parts)
  return "{" .. table.concat(parts, ", ") .. "}"
end

main()

--[[ Output:
{name: isolate, stars: 5.0, tags: [ports, messages]}
{key: value}
both ports are closed
]]
