-- A chain of isolates: each starts the next and waits for it, first by a run, then
-- by a spawn and a join.

local Isolate = require "isolate"
local load    = require "spec.support.load"

local depth = load.alive(load.size(2000, 40))

local function by_run(levels)
  if levels == 0 then return 0 end
  return Isolate.run(by_run, levels - 1):await() + 1
end

local function by_join(message)
  if message.levels == 0 then return end
  local iso = Isolate.spawn(by_join, { levels = message.levels - 1, to = message.to })
  message.to:send(iso:join())
end

local function round()
  load.check(by_run(depth) == depth, "the runs do not add up")
  local inbox <close> = Isolate.ReceivePort()
  by_join { levels = depth, to = inbox.send_port }
  for _ = 1, depth do load.check(inbox:receive() == true, "a join was not over") end
end

load.rounds(1, 2, round, ("a chain of %d isolates"):format(depth))
