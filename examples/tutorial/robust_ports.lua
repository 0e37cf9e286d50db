-- robust_ports.lua: the tutorials' Worker (see examples/basic_ports.lua) made robust: numbered requests, answered in any
-- order; errors that fail one request alone; a close that waits for the answers in flight. In the tutorial such a close
-- leaves the port open, and requests to a worker that dies wait for ever: here the last answer closes the port, and the
-- worker's end fails what waits.
-- Run it:  lua5.4 examples/tutorial/robust_ports.lua
local Isolate = require "isolate"
local json = require "cjson"

local Worker = {}
Worker.__index = Worker

local LONG <const> = '{"key": "long", "rest": "' .. ("-"):rep(1000) .. '"}'

local start_remote_isolate, handle_commands, report    -- below

local function main()
  local worker = Worker.spawn()
  report("1", worker:parse_json(LONG))
  report("2", worker:parse_json '{"key": }')
  report("3", worker:parse_json '{"key": "short"}')
  worker:close()                                       -- three are in flight
  print("one more", pcall(worker.parse_json, worker, "{}"))
  Isolate.loop()                                       -- until the last answer has closed the port

  worker = Worker.spawn()
  report("4", worker:parse_json(LONG))
  report("5", worker:parse_json(LONG))
  worker.isolate:kill(Isolate.immediate)
  Isolate.loop()
end

-- Starts the other isolate, and waits until both know each other's port. Raises if there is no isolate to be had.
function Worker.spawn()
  local init_port = Isolate.RawReceivePort()
  local connection = Isolate.Completer.sync()
  function init_port.handler(command_port)             -- or nil: the isolate has ended
    if command_port then
      connection:complete(Isolate.ReceivePort.from_raw(init_port), command_port)
    else
      init_port:close()
      connection:complete_error(Isolate.RemoteError "the worker has not started")
    end
  end

  local port = init_port.send_port
  local ok, isolate = pcall(Isolate.spawn, start_remote_isolate, port, {name = "parser", on_exit = port})
  if not ok then
    init_port:close()
    error(isolate, 0)
  end
  local responses, commands = connection.future:await()
  local self = setmetatable({
    isolate = isolate, responses = responses, commands = commands,
    active_requests = {},                              -- id → Completer
    id_counter = 0,
    closed = false,                                    -- takes no more requests
    port_closed = false,                               -- has no more to answer
  }, Worker)
  responses:listen(function(message) self:handle_response(message) end)
  return self
end

-- A Future of what is written in `text`. Raises "Closed" after `close`, and once the worker has died.
function Worker:parse_json(text)
  if self.closed then error("Closed", 0) end
  local completer = Isolate.Completer.sync()
  local id = self.id_counter
  self.id_counter = id + 1
  self.active_requests[id] = completer
  self.commands:send {id, text}
  return completer.future
end

-- No more requests: the worker ends after those that it has, our port with the last answer.
function Worker:close()
  if self.closed then return end
  self.closed = true
  self.commands:send "shutdown"
  self:close_port_when_idle()
end

function Worker:close_port_when_idle()
  if not self.port_closed and not next(self.active_requests) then
    self.port_closed = true
    self.responses:close()
    print "--- port closed --- "
  end
end

-- Takes {id, value}, or nil: the worker has ended.
function Worker:handle_response(message)
  if not message then return self:fail_all(Isolate.RemoteError "the worker has ended") end
  local id, response = table.unpack(message, 1, 2)
  local completer = self.active_requests[id]
  self.active_requests[id] = nil
  if getmetatable(response) == Isolate.RemoteError then
    completer:complete_error(response)
  else
    completer:complete(response)
  end
  if self.closed then self:close_port_when_idle() end
end

-- Nobody will answer any more.
function Worker:fail_all(err)
  self.closed = true
  local requests = self.active_requests
  self.active_requests = {}
  for id = 0, self.id_counter - 1 do                   -- in the order they were asked
    if requests[id] then requests[id]:complete_error(err) end
  end
  self:close_port_when_idle()
end

-- Runs in the other isolate.
function start_remote_isolate(send_port)
  local commands = Isolate.ReceivePort()
  send_port:send(commands.send_port)
  handle_commands(commands, send_port)
end

-- Each command is handled in a task of its own: a long text waits, so that a short one overtakes it.
function handle_commands(commands, send_port)
  commands:listen(function(message)
    if message == "shutdown" then return commands:close() end
    local id, text = table.unpack(message)
    if #text > 100 then Isolate.sleep(0.1) end
    local ok, value = pcall(json.decode, text)
    send_port:send {id, not ok and Isolate.RemoteError(value) or value}
  end)
end

-- Prints what comes of `future`, once it comes.
function report(name, future)
  future:next(function(data) print(name, "key: " .. data.key) end,
              function(err) print(name, "failed: " .. err.message) end)
end

main()

--[[ Output:
one more	false	Closed
2	failed: Expected value but found T_OBJ_END at character 9
3	key: short
1	key: long
--- port closed --- 
4	failed: the worker has ended
5	failed: the worker has ended
--- port closed --- 
]]
