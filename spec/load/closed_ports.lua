-- Ports are closed, or their isolates end, while hundreds send: what had come is the
-- beginning of what each had sent, and each sender goes on.

local Isolate = require "isolate"
local load    = require "spec.support.load"

local senders, messages = load.size(300, 20), load.size(300, 50)

local function sender(message)
  local gate <close> = Isolate.ReceivePort()
  message.home:send(gate.send_port)
  gate:receive()
  for i = 1, message.n do
    message.to:send(i % 50 == 0 and { message.me, i, ("large"):rep(20000) } or { message.me, i })
  end
  message.home:send(message.me)
end

-- Takes `enough` messages, then the port goes, in the way asked for. Returns how many
-- came of each sender; an error if they are no beginning.
local function take(port, way, enough)
  local last = {}
  local function check(message)
    local from, n = message[1], message[2]
    if n ~= (last[from] or 0) + 1 then
      error(("of sender %d came %d after %d"):format(from, n, last[from] or 0))
    end
    last[from] = n
  end
  if way == "cancel" then
    local left, over = enough, Isolate.Completer()
    local subscription
    subscription = port:listen(function(message)
      check(message)
      left = left - 1
      if left == 0 then subscription:cancel() over:complete() end
    end)
    over.future:await()
  else
    for _ = 1, enough do check(port:receive()) end
    if way == "close" then port:close() end
  end
  return last
end

-- The same in an isolate that ends, with the port still open.
local function elsewhere(message)
  local port = Isolate.ReceivePort()
  message.home:send(port.send_port)
  message.home:send(take(port, "end", message.enough))
  Isolate.exit()
end

local ways = { "close", "cancel", "end" }

local function round()
  local home <close> = Isolate.ReceivePort()
  local way, enough = ways[math.random(#ways)], math.random(senders * messages // 2)
  local port, target
  if way == "end" then
    Isolate.spawn(elsewhere, { home = home.send_port, enough = enough })
    target = home:receive()
  else
    port = Isolate.ReceivePort()
    target = port.send_port
  end
  local gates, went = {}, 0
  for i = 1, senders do
    Isolate.spawn(sender, { to = target, home = home.send_port, me = i, n = messages })
    gates[i] = home:receive()
  end
  for i = 1, senders do gates[i]:send "go" end
  local last = port and take(port, way, enough)
  while went < senders or not last do
    local message = home:receive()
    if type(message) == "table" then last = message else went = went + 1 end
  end
  local sum = 0
  for _, n in pairs(last) do sum = sum + n end
  load.check(sum == enough, "%d messages came of %d", sum, enough)
end

local times = load.size(20, 6)
load.rounds(3, times, round, ("%d senders, %d ports closed meanwhile"):format(senders, 3 + times))
