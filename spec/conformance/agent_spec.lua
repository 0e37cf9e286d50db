-- Isolate.Agent: the package isolate_agents (E11): state that lives in an
-- isolate of its own, and is changed by functions sent there.

local Isolate = require "isolate"

local alone  = require "spec.support.alone"
local helper = require "spec.helper"
local turns  = require "spec.support.turns"

local failure = turns.failure
local GUARD = 60

local LOST = "the agent has ended"

before_each(alone.begin)
after_each(alone.check)

local function increment(n) return n + 1 end

-- An agent, ended after the test if that did not end it.
local function new_agent(init)
  local agent = Isolate.Agent(init)
  alone.keep { close = function()
    local ok, last = pcall(agent.exit, agent)
    if ok then pcall(last.await, last, GUARD) end
  end }
  return agent
end

local remote = alone.remote

-- The handle of the agent's isolate.
local function isolate_of(agent)
  return agent:read(function() return Isolate.current end):await(GUARD)
end

describe("E11: an Agent", function()
  it("begins with what its function returns, called over there", function()
    local n = 20
    local agent = new_agent(function() return { n = n + 1, main = Isolate.is_main } end)
    assert.same({ n = 21, main = false }, agent:read():await(GUARD))
  end)

  it("is updated: what the function returns is the state", function()
    local agent = new_agent(function() return 1 end)
    assert.same(table.pack(), table.pack(agent:update(increment):await(GUARD)))
    assert.equal(2, agent:read():await(GUARD))
  end)

  it("is updated in the order of the calls, though nobody awaits them", function()
    local agent = new_agent(function() return "" end)
    for i = 1, 20 do agent:update(function(s) return s .. i .. " " end) end
    local expected = ""
    for i = 1, 20 do expected = expected .. i .. " " end
    assert.equal(expected, agent:read():await(GUARD))
  end)

  it("keeps the order when a function waits", function()
    local agent = new_agent(function() return "" end)
    agent:update(function(s) Isolate.sleep(0.02) return s .. "slow" end)
    agent:update(function(s) return s .. ", quick" end)
    assert.equal("slow, quick", agent:exit():await(GUARD))
  end)

  it("is read by a function, with arguments, all of whose results come back", function()
    local agent = new_agent(function() return { a = 1, b = 2 } end)
    local got = table.pack(agent:read(function(s, key, other) return s[key], nil, s[other], nil end,
      "a", "b"):await(GUARD))
    assert.same({ n = 4, 1, nil, 2, nil }, got)
  end)

  it("hands functions their arguments by value, nils too", function()
    local agent, list = new_agent(function() return {} end), { 1 }
    local done = agent:update(function(s, added, ...)
      s.list, s.n = added, select("#", ...)
    end, list, nil, nil)
    list[1] = 2
    done:await(GUARD)
    assert.same({ list = { 1 }, n = 2 }, agent:read():await(GUARD))
  end)

  it("gives copies of its state: those who read cannot change it", function()
    local agent = new_agent(function() return { 1 } end)
    local copy = agent:read():await(GUARD)
    copy[1] = 2
    assert.same({ 1 }, agent:read():await(GUARD))
  end)

  it("is changed in place by a function that returns nothing", function()
    local agent = new_agent(function() return { n = 0 } end)
    agent:update(function(s) s.n = s.n + 1 end):await(GUARD)
    assert.same({ n = 1 }, agent:read():await(GUARD))
  end)

  it("has the state nil when a function returns nil", function()
    local agent = new_agent(function() return 1 end)
    agent:update(function() return nil end):await(GUARD)
    assert.same(table.pack(nil), table.pack(agent:read():await(GUARD)))
  end)

  it("answers an update with what its function returned after the state", function()
    local agent = new_agent(function() return { "a", "b" } end)
    local got = table.pack(agent:update(function(s) return s, table.remove(s), nil, "x" end):await(GUARD))
    assert.same({ n = 3, "b", nil, "x" }, got)
    assert.same({ "a" }, agent:read():await(GUARD))
  end)

  it("keeps its state over an error, which fails that Future only", function()
    local agent = new_agent(function() return 5 end)
    local bad = agent:update(function() error { code = 7 } end)
    local good = agent:update(increment)
    local e = remote(bad)
    assert.same({ code = 7 }, e.value)
    assert.truthy(e.traceback:find("agent_spec.lua", 1, true))
    good:await(GUARD)
    assert.equal(6, agent:read():await(GUARD))
    assert.truthy(remote(agent:read(function(s) return s.x.y end)).message:find(
      "attempt to index", 1, true))
    assert.equal(6, agent:read():await(GUARD))
  end)

  it("keeps what cannot be sent, and says so to those who read it", function()
    local agent = new_agent(function() return { file = io.tmpfile(), n = 1 } end)
    assert.truthy(remote(agent:read()).message:find(
      "cannot send result[1].file: an open file stays in its isolate", 1, true))
    assert.equal(1, agent:read(function(s) return s.n end):await(GUARD))
    agent:update(function(s) s.file:close() s.file = nil end):await(GUARD)
    assert.same({ n = 1 }, agent:read():await(GUARD))
  end)

  it("raises at the call for a function or an argument that cannot be sent", function()
    local agent, file = new_agent(function() return 1 end), io.stdout
    assert.truthy(failure(agent.update, agent, function() return file end):find(
      "cannot send fn.upvalue 'file': an open file stays in its isolate", 1, true))
    assert.truthy(failure(agent.read, agent, increment, 1, { f = file }):find(
      "cannot send argument[2].f: an open file stays in its isolate", 1, true))
    assert.equal(1, agent:read():await(GUARD))
  end)

  it("fails the Future of an argument that cannot be built there, and goes on", function()
    local agent = new_agent(function() return 1 end)
    local broken = setmetatable({}, { __transfer = function()
      return function() error("no such thing here", 0) end
    end })
    assert.truthy(remote(agent:update(increment, broken)).message:find("no such thing here", 1, true))
    assert.equal(1, agent:read():await(GUARD))
  end)

  it("raises for what is no function", function()
    local agent = new_agent(function() end)
    assert.truthy(failure(Isolate.Agent):find(
      "bad argument #1 to 'Agent' (function expected, got nil)", 1, true))
    assert.truthy(failure(agent.update, agent, 1):find(
      "bad argument #1 to 'update' (function expected, got number)", 1, true))
    assert.truthy(failure(agent.read, agent, {}):find(
      "bad argument #1 to 'read' (function expected, got table)", 1, true))
    assert.truthy(failure(agent.read, {}):find(
      "calling 'read' on bad self (Agent expected, got table)", 1, true))
  end)

  it("raises for a function to begin with that cannot be sent, and starts nothing", function()
    local file = io.stdout
    assert.truthy(failure(Isolate.Agent, function() return file end):find(
      "cannot send fn.upvalue 'file': an open file stays in its isolate", 1, true))
    assert.equal(1, #Isolate.list())
  end)
end)

describe("E11: exit", function()
  it("gives the last state, once what was asked before is done", function()
    local agent = new_agent(function() return 0 end)
    for _ = 1, 10 do agent:update(increment) end
    assert.equal(10, agent:exit():await(GUARD))
  end)

  it("ends the isolate", function()
    local agent = new_agent(function() return 0 end)
    local iso = isolate_of(agent)
    agent:exit():await(GUARD)
    assert.is_true(iso:join(GUARD))
  end)

  it("gives the state nil as one value", function()
    local agent = new_agent(function() end)
    assert.same(table.pack(nil), table.pack(agent:exit():await(GUARD)))
  end)

  it("C8: ends the use of the agent: later calls raise", function()
    local agent = new_agent(function() return 0 end)
    local last = agent:exit()
    for _, method in ipairs { "update", "read", "exit" } do
      assert.truthy(failure(agent[method], agent, increment):find("this agent has exited", 1, true))
    end
    last:await(GUARD)
    assert.truthy(failure(agent.read, agent):find("this agent has exited", 1, true))
  end)

  it("fails calls of other isolates that come too late, at once", function()
    local agent = new_agent(function() return 0 end)
    local port <close> = Isolate.ReceivePort()
    local late = Isolate.run(function(a, to)
      local go = Isolate.ReceivePort()
      to:send(go.send_port)
      go:receive()
      go:close()
      local ok, e = pcall(function() return a:read():await() end)
      return ok, e.message
    end, agent, port.send_port)
    local go = port:receive(GUARD)
    agent:exit():await(GUARD)
    go:send(true)
    local ok, message = late:await(GUARD)
    assert.is_false(ok)
    assert.equal(LOST, message)
  end)

  it("that cannot send the state fails, and leaves the agent usable", function()
    local agent = new_agent(function() return { file = io.tmpfile() } end)
    assert.truthy(remote(agent:exit()).message:find(
      "cannot send result[1].file: an open file stays in its isolate", 1, true))
    agent:update(function(s) s.file = nil s.n = 1 end):await(GUARD)
    assert.same({ n = 1 }, agent:exit():await(GUARD))
  end)
end)

describe("E11: an Agent whose function to begin with fails", function()
  it("fails all that is asked of it, with that error", function()
    local agent = new_agent(function() error({ why = "no disk" }) end)
    for _, asked in ipairs { agent:update(increment), agent:read(), agent:read() } do
      assert.same({ why = "no disk" }, remote(asked).value)
    end
  end)

  it("fails its exit with that error, and ends", function()
    local agent = new_agent(function() error("no disk", 0) end)
    assert.equal("no disk", remote(agent:exit()).message)
    assert.equal(LOST, remote(agent:read()).message)
  end)

  it("fails so when its function cannot be built there", function()
    local broken = setmetatable({}, { __transfer = function()
      return function() error("no such thing here", 0) end
    end })
    local agent = new_agent(function() return broken end)
    assert.truthy(remote(agent:read()).message:find("no such thing here", 1, true))
  end)

  it("is an isolate that reports nothing uncaught: no text on stderr", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      local agent = Isolate.Agent(function() error "no disk" end)
      print(pcall(function() return agent:read():await() end))
      agent:exit():catch(function() end):await()
    ]]
    assert.equal(0, result.status)
    assert.equal("", result.stderr)
    assert.truthy(result.stdout:find("no disk", 1, true))
  end)
end)

describe("E11: an Agent that is killed", function()
  it("fails calls that wait and later ones at once", function()
    local agent = new_agent(function() return 0 end)
    local iso = isolate_of(agent)
    local waiting = agent:update(function() Isolate.sleep(1000) end)
    local behind = agent:read()
    iso:kill(Isolate.immediate)
    assert.equal(LOST, remote(waiting).message)
    assert.equal(LOST, remote(behind).message)
    assert.equal(LOST, remote(agent:read()).message)
    assert.equal(LOST, remote(agent:exit()).message)
  end)

  it("ends so by Isolate.exit in a function, too", function()
    local agent = new_agent(function() return 0 end)
    assert.equal(LOST, remote(agent:update(function() Isolate.exit() end)).message)
    assert.equal(LOST, remote(agent:read()).message)
  end)

  it("cannot be killed with its control port alone", function()
    local agent = new_agent(function() return "lives" end)
    Isolate.handle(agent.control_port):kill(Isolate.immediate)
    assert.equal("lives", agent:read():await(GUARD))
  end)
end)

describe("E11: an Agent that is sent", function()
  it("is the same one, and equal to itself", function()
    local agent = new_agent(function() return 1 end)
    local back, n = Isolate.run(function(a)
      a:update(function(s) return s + 1 end):await()
      return a, a:read():await()
    end, agent):await(GUARD)
    assert.equal(2, n)
    assert.is_true(back == agent)
    assert.equal(2, back:read():await(GUARD))
  end)

  it("serves many callers, and loses nothing", function()
    local agent, callers = new_agent(function() return 0 end), {}
    for i = 1, 4 do
      callers[i] = Isolate.run(function(a)
        for _ = 1, 50 do a:update(function(s) return s + 1 end) end
        a:read():await()
      end, agent)
    end
    for i = 1, 4 do callers[i]:await(GUARD) end
    assert.equal(200, agent:exit():await(GUARD))
  end)

  it("is made in one isolate and exits from another, which outlives its maker", function()
    local agent = Isolate.run(function()
      return Isolate.Agent(function() return "made there" end)
    end):await(GUARD)
    assert.equal("made there", agent:exit():await(GUARD))
  end)

  it("cannot call itself and wait for that, but may be called by what it started", function()
    local agent = new_agent(function() return 1 end)
    local ok = agent:update(function(s, me)
      me:update(function(n) return n * 10 end)          -- not awaited: comes after this one
      return s + 1
    end, agent)
    ok:await(GUARD)
    assert.equal(20, agent:read():await(GUARD))
  end)
end)

describe("E11: a call of an Agent that is cancelled", function()
  it("fails with a CancelledError; what it does is done all the same", function()
    local agent = new_agent(function() return 1 end)
    local call = agent:update(increment)
    call:cancel()
    assert.equal("CancelledError", failure(call.await, call).name)
    assert.equal(2, agent:read():await(GUARD))
  end)
end)
