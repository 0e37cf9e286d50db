-- Nothing of a test is left when it is over: no other isolate, no open port, no
-- timer. For before_each and after_each: alone.begin, alone.check.

local Isolate = require "isolate"
local core    = require "isolate.core"
local assert  = require "luassert"
local helper  = require "spec.helper"
local turns   = require "spec.support.turns"

local alone = {}
local alive, kept = nil, {}

-- Closes it after the test, whatever happens; returns it.
function alone.keep(it)
  kept[#kept + 1] = it
  return it
end

-- A ReceivePort that is closed then.
function alone.new_port(name) return alone.keep(Isolate.ReceivePort(name)) end

-- The RemoteError that the Future fails with.
function alone.remote(future)
  local e = turns.failure(future.await, future, 60)
  assert.equal(Isolate.RemoteError, getmetatable(e))
  return e
end

function alone.begin() alive = core.alive() end

function alone.check()
  for _, it in ipairs(kept) do it:close() end
  kept = {}
  turns.pump()
  helper.eventually(function() return #Isolate.list() == 1 end, 10,
    function() Isolate.sleep(0.002) end)
  local names = {}
  for _, it in ipairs(Isolate.list()) do names[#names + 1] = it.name end
  assert.same({ "main" }, names)
  assert.equal(alive, core.alive(), "ports and timers that were left open")
end

return alone
