-- A ring: each isolate hands the token on to the next, and the last to the first.

local Isolate = require "isolate"
local load    = require "spec.support.load"

local members, times = load.size(500, 25), load.size(1000, 20)

local function member(home)
  local inbox <close> = Isolate.ReceivePort()
  home:send(inbox.send_port)
  local nextone = inbox:receive()
  for _, token in inbox:messages() do
    nextone:send(token and token + 1)
    if not token then break end
  end
end

local function round(rounds)
  local inbox <close> = Isolate.ReceivePort()
  local first, last
  for _ = 1, members do
    Isolate.spawn(member, inbox.send_port)
    local port = inbox:receive()
    if last then last:send(port) else first = port end
    last = port
  end
  last:send(inbox.send_port)
  local token = 0
  for i = 1, rounds do
    first:send(token)
    token = inbox:receive()
    load.check(token == i * members, "after %d rounds the token says %d", i, token)
  end
  first:send(false)
  load.check(inbox:receive() == false, "the end does not come round")
end

load.rounds(1, 3, function() round(times // 4) end,
  ("a ring of %d, a token %d times round"):format(members, times))
