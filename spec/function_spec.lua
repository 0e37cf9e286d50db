-- What goes along with a function: its code, upvalues and globals.
-- luacheck: globals spec_word spec_list spec_factor spec_double spec_even spec_odd spec_json
-- luacheck: globals spec_written spec_bad spec_inner spec_missing spec_point tostring assert

local Isolate  = require "isolate"
local json     = require "cjson"
local helper   = require "spec.helper"
local trip     = require "spec.fixtures.trip"
local geometry = require "spec.fixtures.geometry"
local shout    = require "spec.fixtures.shout"
local Stack    = require "spec.fixtures.stack"

local here, over = trip.here, trip.over
local encode, Point = json.encode, geometry.Point
local this_file = debug.getinfo(1, "S").short_src

-- Calls 'f' in another isolate.
local function call(f, ...) return Isolate.run(f, ...):await() end

-- The function that 'code' returns, with 'env' as its globals.
local function compile(code, env)
  return assert(load(code, "=compiled", "t", env or _G))()
end

describe("a function", function()
  it("gets its arguments and brings back all it returns, nil included", function()
    local function f(...) return select("#", ...), nil, ..., nil end
    assert.same({ n = 4, 3, nil, "a", nil }, table.pack(call(f, "a", nil, nil)))
  end)

  it("may be the value itself", function()
    local function add(a, b) return a + b end
    for _, way in ipairs(trip.ways) do
      local got = way.go(add)
      assert.equal(3, got(1, 2))
      assert.is_false(rawequal(add, got))
    end
  end)

  it("stays one function in one message", function()
    local function f() end
    local function g() return f end
    local got = here { f, f, g = g }
    assert.is_true(rawequal(got[1], got[2]))
    assert.is_true(rawequal(got[1], got.g()))
  end)

  it("keeps the names and lines it was written with", function()
    local hidden = 5
    local function f(first, second) return first, second, hidden end
    local got = here(f)
    local was, is = debug.getinfo(f, "Su"), debug.getinfo(got, "Su")
    assert.equal(was.source, is.source)
    assert.equal(was.linedefined, is.linedefined)
    assert.equal(was.nparams, is.nparams)
    assert.equal("second", debug.getlocal(got, 2))
    assert.equal("hidden", (debug.getupvalue(got, 1)))
  end)

  it("keeps the place of an error", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local function f() error "over there" end
    local ok, err = pcall(call, f)
    assert.is_false(ok)
    assert.equal(("%s:%d: over there"):format(this_file, line), err.message)
  end)

  it("keeps the names in Lua's own errors", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local function f(settings) return settings.width end
    local _, err = pcall(call, f)
    local text = "attempt to index a nil value (local 'settings')"
    assert.equal(("%s:%d: %s"):format(this_file, line, text), err.message)
  end)

  it("runs without its debug information", function()
    local f = load(string.dump(compile "return function(x) return tostring(x) .. '!' end", true))
    assert.equal("7!", call(f, 7))
  end)
end)

describe("an upvalue", function()
  it("goes along", function()
    local word, list, none = "word", { 1, { 2 } }, nil
    local function f() return word, list[2][1], none end
    assert.same({ n = 3, "word", 2, nil }, table.pack(call(f)))
  end)

  it("is a copy", function()
    local n, list = 0, {}
    local function f()
      n = n + 1
      list[1] = n
      return n
    end
    assert.equal(1, call(f))
    assert.equal(0, n)
    assert.same({}, list)
  end)

  it("is fresh in each message", function()
    local n = 0
    local function count()
      n = n + 1
      return n
    end
    local a, b = here(count), here(count)
    assert.same({ 1, 2, 1, 0 }, { a(), a(), b(), n })
  end)

  it("stays shared by two functions", function()
    local n = 0
    local function increase() n = n + 1 end
    local function get() return n end
    for _, way in ipairs(trip.ways) do
      local got = way.go { increase, get }
      got[1]()
      got[1]()
      assert.same({ 2, 0 }, { got[2](), get() })
    end
    local function job()
      increase()
      increase()
      return get()
    end
    assert.equal(2, call(job))
  end)

  it("stays two where two functions have their own", function()
    local function new()
      local n = 0
      return function()
        n = n + 1
        return n
      end
    end
    local got = here { new(), new() }
    assert.same({ 1, 2, 1 }, { got[1](), got[1](), got[2]() })
  end)

  it("stays shared with a function inside a table", function()
    local open = false
    local door = { open = function() open = true end }
    local function job()
      door.open()
      return open
    end
    assert.is_true(call(job))
  end)

  it("stays shared though it holds the table of globals", function()
    local place = _G
    local function get() return place end
    local function set(value) place = value end
    for _, way in ipairs(trip.ways) do
      local got = way.go { get, set }
      assert.is_true(rawequal(_G, got[1]()))
      got[2] "elsewhere"
      assert.is_true(got[1]() == "elsewhere")
    end
  end)

  it("may be the function itself", function()
    local function factorial(n) return n < 2 and 1 or n * factorial(n - 1) end
    assert.equal(3628800, call(factorial, 10))
  end)

  it("may be a function that calls back", function()
    local odd
    local function even(n) return n == 0 or odd(n - 1) end
    function odd(n) return n ~= 0 and even(n - 1) end
    assert.is_true(call(even, 10))
    assert.is_false(call(odd, 10))
  end)

  it("may be what is also an argument", function()
    local list = {}
    local function f(t) return rawequal(t, list) end
    assert.is_true(call(f, list))
  end)

  it("is one of as many as Lua allows", function()
    local names, sum = {}, {}
    for i = 1, 150 do
      names[i], sum[i] = ("local v%d = %d"):format(i, i), "v" .. i
    end
    local code = "%s return function() return %s end"
    local f = compile(code:format(table.concat(names, "\n"), table.concat(sum, "+")))
    assert.equal(150 * 151 // 2, call(f))
  end)

  it("that is a module is the module over there", function()
    finally(function() geometry.scale = 1 end)
    geometry.scale = 7
    local function f() return geometry.scale, geometry.area(2, 3) end
    assert.same({ 1, 6 }, { call(f) })
  end)

  it("that is a module written in C is the module over there", function()
    local function f(text)
      return json.decode(text).list[3], encode { 1, 2, 3 }, json.decode "null" == json.null
    end
    assert.same({ "c", "[1,2,3]", true }, { call(f, '{"list":["a","b","c"]}') })
  end)

  it("that is a function or a class of a module is the one over there", function()
    local area = geometry.area
    local function f()
      local own = require "spec.fixtures.geometry"
      return area == own.area, Point == own.Point, shout == require "spec.fixtures.shout"
    end
    assert.same({ true, true, true }, { call(f) })
  end)

  -- Made in C, ReceivePort could not be sent.
  it("that is a class of the library is the one over there", function()
    local ReceivePort, Future, TimeoutError = Isolate.ReceivePort, Isolate.Future, Isolate.TimeoutError
    local Completer = Isolate.Completer  -- a copy of it took the loop's insides along
    local function f()
      local own = require "isolate"
      local port <close> = ReceivePort "inbox"
      port.send_port:send "word"
      return port:receive(), ReceivePort == own.ReceivePort, Future == own.Future,
        TimeoutError == own.TimeoutError, Completer == own.Completer
    end
    assert.same({ "word", true, true, true, true }, { call(f) })
  end)

  -- The library's functions enter its table when they are first asked for. One made in C
  -- went only if that was before the first message: "a C function with upvalues stays in
  -- its isolate".
  it("that a module got since modules were last looked at is the one over there", function()
    local result = helper.lua [[
      local Isolate = require "isolate"
      Isolate.run(function() end):await()
      local processors, ReceivePort = Isolate.processors, Isolate.ReceivePort
      print(Isolate.run(function()
        local own = require "isolate"
        return processors == own.processors, ReceivePort == own.ReceivePort
      end):await())
    ]]
    assert.same({ "true\ttrue\n", "" }, { result.stdout, result.stderr })
  end)

  -- The same: "a C function with upvalues stays in its isolate".
  it("that is what receives from a port does so over there", function()
    local port <close> = Isolate.ReceivePort()
    local receive, messages = port.receive, port.messages
    local function f()
      local inbox <close> = require "isolate".ReceivePort()
      for i = 1, 2 do inbox.send_port:send(i) end
      return receive(inbox), select(2, messages(inbox)())
    end
    assert.same({ 1, 2 }, { call(f) })
  end)

  it("that is the table of globals is the one over there", function()
    local globals = _G
    local function f()
      spec_word = "set over there"
      return globals == _G, rawget(globals, "spec_word")
    end
    assert.same({ true, "set over there" }, { call(f) })
    assert.is_nil(rawget(globals, "spec_word"))
  end)
end)

describe("a module", function()
  after_each(function()
    for _, name in ipairs { "spec.made", "spec.hand" } do
      package.loaded[name], package.preload[name] = nil, nil
    end
  end)

  it("that only package.preload knows is found over there", function()
    package.preload["spec.made"] = function(name)
      local made = { changed = false }
      function made.name() return name end
      return made
    end
    local made = require "spec.made"
    made.changed = true
    local function f() return made.name(), made.changed end
    assert.same({ "spec.made", false }, { call(f) })
  end)

  it("that only package.preload knows is found by name", function()
    package.preload["spec.made"] = function() return { value = 12 } end
    assert.equal(12, call(function() return require "spec.made".value end))
  end)

  it("in package.preload that cannot be sent is left at home", function()
    local co = coroutine.create(print)
    package.preload["spec.made"] = function() return co end
    assert.equal("fine", call(function() return "fine" end))
  end)

  it("set by hand is copied with its functions", function()
    local hand = { factor = 2 }
    function hand.scale(n) return n * hand.factor end
    package.loaded["spec.hand"] = hand
    local scale = hand.scale
    local function f() return hand.scale(4), scale(5), scale == hand.scale end
    assert.same({ 8, 10, true }, { call(f) })
  end)

  it("written in C and set by hand cannot go along", function()
    local hand = json.new()
    package.loaded["spec.hand"] = hand
    local function f() return hand.encode {} end
    assert.equal("cannot send fn.upvalue 'hand': `require` cannot find 'spec.hand'",
      trip.refusal(Isolate.run, f))
  end)
end)

describe("an object", function()
  it("goes with its method, of a class of a module", function()
    assert.equal(5.0, call(Point.norm, Point.new(3, 4)))
    local stack = call(Stack.push, Stack.new(), "a")
    assert.equal("a", stack[1])
    assert.is_true(rawequal(Stack, getmetatable(stack)))
  end)

  it("goes with its method, of a local class", function()
    local Account = {}
    Account.__index = Account
    function Account.new(balance) return setmetatable({ balance = balance }, Account) end
    function Account:deposit(n)
      self.balance = self.balance + n
      return self, getmetatable(self) == Account
    end
    local account = Account.new(10)
    local got, same_class = call(account.deposit, account, 5)
    assert.is_true(same_class)
    assert.equal(15, got.balance)
    assert.equal(10, account.balance)
    assert.equal(20, got:deposit(5).balance)
  end)

  it("goes with its class, a global of the main script", function()
    finally(function() _G.SpecAccount, _G.spec_job = nil, nil end)
    compile [[
      SpecAccount = {}
      SpecAccount.__index = SpecAccount
      function SpecAccount.new(n) return setmetatable({ balance = n }, SpecAccount) end
      function SpecAccount:deposit(n) self.balance = self.balance + n return self end
      function spec_job(account)
        return account:deposit(5).balance, SpecAccount.new(1):deposit(2).balance,
          getmetatable(account) == SpecAccount
      end]]
    assert.same({ 15, 3, true }, { call(_G.spec_job, _G.SpecAccount.new(10)) })
  end)
end)

describe("a global", function()
  it("of the spec goes along with a function of the spec", function()
    spec_word, spec_list = "hello", { 1, 2, { 3 } }
    local function f() return spec_word, spec_list[3][1] end
    assert.same({ "hello", 3 }, { call(f) })
  end)

  it("is found among the globals over there", function()
    spec_word = "hello"
    local function f() return spec_word, rawget(_G, "spec_word") end
    assert.same({ "hello", "hello" }, { call(f) })
  end)

  it("goes along though only a nested function reads it", function()
    spec_word = "deep"
    local function f()
      return (function() return (function() return spec_word end)() end)()
    end
    assert.equal("deep", call(f))
  end)

  it("goes along with a function in an upvalue, a table, an argument", function()
    spec_word = "found"
    local function inner() return spec_word end
    local box = { get = inner }
    assert.equal("found", call(function() return inner() end))
    assert.equal("found", call(function() return box.get() end))
    assert.equal("found", call(function(f) return f() end, inner))
  end)

  it("that is a function brings the globals it reads", function()
    spec_factor = 2
    function spec_double(n) return n * spec_factor end
    assert.equal(8, call(function() return spec_double(4) end))
  end)

  it("that is a function may call one that calls back", function()
    function spec_even(n) return n == 0 or spec_odd(n - 1) end
    function spec_odd(n) return n ~= 0 and spec_even(n - 1) end
    assert.is_true(call(function() return spec_even(10) end))
  end)

  it("may be the function itself", function()
    function spec_double(n) return n == 0 and 0 or 2 + spec_double(n - 1) end
    assert.equal(20, call(spec_double, 10))
  end)

  it("may be a module, a class or an object", function()
    spec_json, spec_point = json, Point.new(3, 4)
    local function f()
      return spec_json.encode { 1 }, spec_json == require "cjson", spec_point:norm()
    end
    assert.same({ "[1]", true, 5.0 }, { call(f) })
  end)

  it("is shared with the arguments and the upvalues", function()
    spec_list = {}
    local list = spec_list
    local function f(t) return rawequal(t, spec_list), rawequal(list, spec_list) end
    assert.same({ true, true }, { call(f, spec_list) })
  end)

  it("that is nil is nil over there", function()
    local function f() return type(spec_missing) end
    assert.equal("nil", call(f))
  end)

  it("that is false goes along", function()
    assert.is_false(call(compile("return function() return spec_word end", { spec_word = false })))
  end)

  it("that is only assigned does not go along", function()
    spec_written = coroutine.create(print)
    local function f() spec_written = 1 end
    assert.same({ n = 0 }, table.pack(call(f)))
  end)

  it("that nothing reads does not go along", function()
    spec_bad, spec_word = coroutine.create(print), "good"
    assert.equal("good", call(function() return spec_word end))
  end)

  it("that is read as a field of _G or _ENV does not go along", function()
    finally(function() _G.spec_bad = nil end)
    _G.spec_bad = coroutine.create(print)
    spec_word = "not me"
    local function f()
      local env = _ENV
      return _G.spec_word, env.spec_word, _G.spec_bad, env == _G
    end
    assert.same({ n = 4, nil, nil, nil, true }, table.pack(call(f)))
  end)

  it("that is a parameter named _ENV's does not go along", function()
    spec_inner = coroutine.create(print)
    local function f(_ENV) return spec_inner end -- luacheck: ignore
    assert.equal("given", call(f, { spec_inner = "given" }))
  end)

  it("that the receiver has anyway is the receiver's", function()
    tostring = function() return "not this one" end
    assert.equal("12", call(function() return tostring(12) end))
  end)

  it("of busted's does not hide the receiver's", function()
    local function f(...) return type(assert), assert(...) end
    assert.same({ "function", 1, 2 }, { call(f, 1, 2) })
  end)

  it("never overwrites one", function()
    local function worker(reply)
      local port <close> = Isolate.ReceivePort()
      reply:send(port.send_port)
      for _, f in port:messages() do
        if not f then break end
        reply:send(f())
      end
    end
    local port <close> = Isolate.ReceivePort()
    local future = Isolate.run(worker, port.send_port)
    local to = port:receive(60)
    spec_word = "first"
    local function f() return spec_word end
    to:send(f)
    spec_word = "second"
    to:send(f)
    to:send(nil)
    assert.same({ "first", "first" }, { port:receive(60), port:receive(60) })
    future:await()
  end)

  it("never overwrites one of this isolate", function()
    finally(function() _G.spec_word, _G.spec_inner = nil, nil end)
    _G.spec_word = "mine"
    local env = { spec_word = "theirs", spec_inner = "new" }
    local f = here(compile("return function() return spec_word, spec_inner end", env))
    assert.same({ "mine", "new" }, { f() })
    assert.equal("new", rawget(_G, "spec_inner"))
  end)

  it("of a false value is not overwritten either", function()
    finally(function() _G.spec_word = nil end)
    _G.spec_word = false
    local f = here(compile("return function() return spec_word end", { spec_word = "theirs" }))
    assert.is_false(f())
  end)

  it("is not missed where it has a long name", function()
    local name = ("spec_long"):rep(20)
    local env = { [name] = "found" }
    assert.equal("found", call(compile("return function() return " .. name .. " end", env)))
  end)

  it("goes along without debug information too", function()
    finally(function() _G.spec_word = nil end)
    _G.spec_word = "stripped"
    local f = load(string.dump(compile "return function() return spec_word end", true))
    assert.equal("stripped", call(f))
  end)
end)

-- A function whose 'n' constants come before the name of its global.
local function crowded(n, body)
  local constants = {}
  for i = 1, n do constants[i] = ("'constant %d'"):format(i) end
  return ("return function() local t = {%s} %s end"):format(table.concat(constants, ","), body)
end

describe("a global behind many constants", function()
  for _, n in ipairs { 254, 255, 256, 300, 140000 } do
    it(("goes along, with %d of them"):format(n), function()
      local env = setmetatable({ spec_late = "late" }, { __index = _G })
      assert.same({ n, "late" }, { call(compile(crowded(n, "return #t, spec_late"), env)) })
    end)
  end

  it("goes along with a nested function", function()
    local env = setmetatable({ spec_late = "late" }, { __index = _G })
    local f = compile(crowded(300, "return (function() return spec_late end)()"), env)
    assert.equal("late", call(f))
  end)
end)

describe("a table of globals of one's own", function()
  it("is looked up, and stays at home", function()
    local env = { spec_word = "carried", spec_other = coroutine.create(print) }
    local f = compile("return function(name) return spec_word, _ENV[name] end", env)
    assert.same({ n = 2, "carried", nil }, table.pack(call(f, "spec_other")))
  end)

  it("becomes the globals over there", function()
    local f = compile("return function() return _ENV, tostring ~= nil end", {})
    local function check(g)
      local env, has = g()
      return env == _G, has
    end
    assert.same({ true, true }, { call(check, f) })
  end)

  it("may be a local of that name", function()
    local f
    do
      local _ENV = { spec_word = "local" } -- luacheck: ignore _ENV
      function f() return spec_word end
    end
    assert.equal("local", call(f))
  end)

  it("may fall back on _G", function()
    local env = setmetatable({ spec_limit = 3 }, { __index = _G })
    local f = compile("return function() return math.min(spec_limit, 9), tostring(1) end", env)
    assert.same({ 3, "1" }, { call(f) })
  end)

  it("may compute its values", function()
    local env = setmetatable({}, { __index = function(_, name) return name .. "!" end })
    assert.equal("spec_word!", call(compile("return function() return spec_word end", env)))
  end)

  it("may refuse unknown names", function()
    local strict = setmetatable({ spec_word = "known" }, {
      __index = function(_, name) error("undeclared variable " .. name) end,
    })
    local f = compile([[return function(rarely)
      if rarely then return spec_unknown end
      return spec_word
    end]], strict)
    assert.equal("known", call(f))
    assert.is_nil(call(f, true))
  end)

  it("may refuse new names where a function arrives", function()
    local before = getmetatable(_G)
    finally(function()
      setmetatable(_G, before)
      _G.spec_fresh = nil
    end)
    local f = compile("return function() return spec_fresh end", { spec_fresh = "carried" })
    setmetatable(_G, {
      __index = function(_, name) error("undeclared variable " .. name) end,
      __newindex = function(_, name) error("undeclared variable " .. name) end,
    })
    local ok, got = pcall(here, f)
    setmetatable(_G, before)
    assert.is_true(ok, got)
    assert.equal("carried", got())
  end)
end)

describe("code that arrives", function()
  it("is not changed by what arrived before it", function()
    local function adder(n) return function(x) return x + n end end
    local got = { here(adder(1)), here(adder(2)), over(adder(3)) }
    assert.same({ 11, 12, 13 }, { got[1](10), got[2](10), got[3](10) })
  end)

  it("is told apart where it looks alike", function()
    local list = {}
    for i = 1, 3 do list[i] = compile(("return function() return %d end"):format(i)) end
    for _, way in ipairs(trip.ways) do
      local got = way.go(list)
      assert.same({ 1, 2, 3 }, { got[1](), got[2](), got[3]() })
    end
  end)

  it("may send itself on", function()
    local function hop(n)
      if n == 0 then return Isolate.is_main end
      return Isolate.run(hop, n - 1):await()
    end
    assert.is_false(call(hop, 2))
    assert.is_true(hop(0))
  end)

  it("may make functions over there and bring them back", function()
    local function make(n)
      local count = n
      return function()
        count = count + 1
        return count
      end
    end
    local f = call(make, 5)
    assert.same({ 6, 7 }, { f(), f() })
  end)
end)
