-- Isolates are killed in the middle of anything. Of each: what it sent came in order,
-- each message once, and nothing after its exit listeners had heard; they hear once;
-- the Future of a run ends once; what it had got from others was got in order.

local Isolate = require "isolate"
local load    = require "spec.support.load"

local victims = load.size(1000, 40)   -- of one round
local at_once = 24

-- Takes its time, so that main is not flooded.
local function dawdle(turns)
  for _ = 1, turns do end
end

local function big(n)
  local list = {}
  for i = 1, n do list[i] = { name = "x" .. i, n = i, more = { i, i + 1 } } end
  return list
end

-- What the victims do. `say(...)` sends to main; `ask` gets what main sends to a port.
local roles = {}

function roles.spin(say)
  say()
  while true do end
end

function roles.send(say)
  while true do say() end
end

function roles.send_large(say)
  local message = big(3000)
  while true do
    say(message)
    dawdle(1000000)
  end
end

function roles.receive(say, feed)
  local inbox = Isolate.ReceivePort()
  feed:send { to = inbox.send_port, size = 1 }
  for i, message in inbox:messages() do
    assert(message.n == i)
    say()
  end
end

function roles.decode(say, feed)
  local inbox = Isolate.ReceivePort()
  feed:send { to = inbox.send_port, size = 5000 }
  for _, message in inbox:messages() do
    assert(#message.list == 5000)
    say()
  end
end

function roles.spawn(say)
  while true do
    Isolate.spawn(function() end)
    say()
  end
end

function roles.join(say)
  while true do
    say(Isolate.spawn(Isolate.sleep, 0.005):join())
  end
end

function roles.await(say)
  while true do say(Isolate.run(function(n) return n + 1 end, 1):await()) end
end

function roles.sleep(say)
  say()
  Isolate.sleep(1000)
end

function roles.naps(say)
  while true do
    Isolate.sleep(0.0005)
    say()
  end
end

function roles.timers(say)
  Isolate.Timer.periodic(0.0003, function() say() end)
  Isolate.Timer.periodic(0.0005, function() say() end)
  Isolate.sleep(1000)
end

function roles.close(say)
  local closing = setmetatable({}, { __close = function()
    for _ = 1, 20 do say() end
  end })
  while true do
    local _ <close> = closing
    pcall(function()
      local _ <close> = closing
      error "out"
    end)
  end
end

function roles.tasks_close(say)
  for _ = 1, 10 do
    Isolate.async(function()
      local _ <close> = setmetatable({}, { __close = function() say() end })
      Isolate.sleep(1000)
    end)
  end
  Isolate.sleep(0.001)
  local _ <close> = setmetatable({}, { __close = function() while true do say() end end })
  Isolate.sleep(1000)
end

function roles.coroutines(say)
  while true do
    local step = coroutine.wrap(function()
      for i = 1, 10 do coroutine.yield(i) end
    end)
    for _ = 1, 10 do step() end
    say()
  end
end

function roles.resist(say)
  while true do
    pcall(function() while true do say() end end)
  end
end

function roles.garbage(say)
  while true do
    for _ = 1, 100 do setmetatable({}, { __gc = function() return {} end }) end
    say()
  end
end

function roles.ports(say)
  while true do
    local port <close> = Isolate.ReceivePort()
    port.send_port:send { port.send_port, Isolate.Capability() }
    port:receive()
    say()
  end
end

function roles.exit(say)
  for _ = 1, 50 do say() end
  Isolate.exit()
end

-- These go on with their count after they were cut, maybe between the count and the
-- send: at the kill, and at the end of the grace.
local speaks_at_end = { close = true, tasks_close = true }

local names = {}
for name in pairs(roles) do names[#names + 1] = name end
table.sort(names)

-- The first event of a victim.
local function victim(message)
  local sent, me = 0, message.me
  message.to:send { me = me, hello = Isolate.current }
  return message.role(function(what)
    -- enough: main kills only as fast as it gets through its queue
    if sent >= (type(what) == "table" and 20 or 500) then return dawdle(20000) end
    sent = sent + 1
    message.to:send { me = me, n = sent, what = what }
    if sent % 20 == 0 then dawdle(20000) end
  end, message.feed)
end

-- An isolate that counts how often it hears of each.
local function watch(message)
  local heard, count = {}, 0
  local inbox <close> = Isolate.ReceivePort()
  message:send(inbox.send_port)
  for _, what in inbox:messages() do
    if type(what) == "table" then
      what.reply:send(heard)
    elseif what == "bye" then
      break
    else
      heard[what], count = (heard[what] or 0) + 1, count + 1
    end
  end
end

local function round()
  local home, feed, exits = Isolate.ReceivePort(), Isolate.ReceivePort(), Isolate.ReceivePort()
  local watcher_port <close> = Isolate.ReceivePort()
  Isolate.spawn(watch, watcher_port.send_port)
  local watcher = watcher_port:receive()

  local last, ended, future_ended, hello, role_of, skipped = {}, {}, {}, {}, {}, {}
  home:listen(function(message)
    local me = message.me
    load.check(not ended[me], "victim %d speaks after its end", me)
    if message.hello then
      hello[me]:complete(message.hello)
    else
      local expected, role = (last[me] or 0) + 1, role_of[me]
      if message.n == expected + 1 and speaks_at_end[role] and (skipped[me] or 0) < 2 then
        skipped[me], expected = (skipped[me] or 0) + 1, message.n
      end
      load.check(message.n == expected, "of victim %d (%s) came %d instead of %d",
        me, role, message.n, expected)
      last[me] = message.n
    end
  end)

  -- feeds who asks, until the sender of it would drown the isolate
  feed:listen(function(request)
    local list = request.size > 1 and big(request.size) or nil
    for i = 1, request.size > 1 and 5 or 500 do request.to:send { n = i, list = list } end
  end)

  local over = {}
  exits:listen(function(me)
    load.check(not ended[me], "the end of victim %d is told twice", me)
    ended[me] = true
    if over[me] then over[me]:complete() end  -- else nobody waited: it may not have come
  end)

  local function one(me)
    local role = names[math.random(#names)]
    local message = { me = me, to = home.send_port, feed = feed.send_port, role = roles[role] }
    role_of[me] = role
    over[me], hello[me] = Isolate.Completer(), Isolate.Completer()
    local iso, future
    if math.random(3) == 1 then
      future = Isolate.compute(victim, message, { errors_are_fatal = math.random(2) == 1 })
      local function done(result)
        load.check(not future_ended[me], "the Future of victim %d ended twice", me)
        future_ended[me] = result or "value"
      end
      local observed = future:next(function() done() end, function(err) done(err.message) end)
      iso = hello[me].future:await()
      iso:add_on_exit_listener(watcher, me)
      iso:add_on_exit_listener(exits.send_port, me)
      if math.random(2) == 1 then Isolate.sleep(math.random() * 0.004) end
      if math.random(4) == 1 then future:cancel() else iso:kill(Isolate.immediate) end
      pcall(observed.await, observed)
      load.check(iso:join() and future_ended[me], "victim %d ended without its Future", me)
      -- that one may have ended before it was listened to
      if role ~= "exit" then over[me].future:await() end
      over[me] = nil
      return
    end
    iso = Isolate.spawn(victim, message, { paused = true, grace = math.random(0, 1) * 0.005 })
    iso:add_on_exit_listener(watcher, me)
    iso:add_on_exit_listener(exits.send_port, me)
    if math.random(10) > 1 then iso:resume(iso.pause_capability) end
    if math.random(4) > 1 then Isolate.sleep(math.random() * 0.004) end
    local priority = role ~= "sleep" and Isolate.immediate or math.random(0, 1)
    for _ = 1, math.random(3) do iso:kill(priority) end
    load.check(iso:join() == true, "victim %d outlives its end", me)
    over[me].future:await()
    over[me] = nil
  end

  local next_one, workers = 0, {}
  for i = 1, at_once do
    workers[i] = Isolate.async(function()
      while next_one < victims do
        next_one = next_one + 1
        one(next_one)
      end
    end)
  end
  for i = 1, at_once do workers[i]:await() end

  -- the watcher heard of each what main's own listener heard
  watcher:send { reply = watcher_port.send_port }
  local heard = watcher_port:receive()
  for me = 1, victims do
    load.check(heard[me] == (ended[me] and 1), "of victim %d the watcher heard %s times", me, heard[me])
  end
  watcher:send "bye"
  -- main's encoder keeps what its largest message took: let that be the same each time
  feed.send_port:send(big(5000))
  home:close()
  feed:close()
  exits:close()
  while #Isolate.list() > 1 do Isolate.sleep(0.001) end
end

load.rounds(1, 3, round, ("%d isolates killed"):format(4 * victims))
