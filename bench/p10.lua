-- p10.lua
-- P10, what it costs to be stoppable, limited and accounted: Lua code that only computes, in an isolate with a memory
-- limit, a time limit and listeners. Floor: the same in plain Lua, without this library. Goal: at most 1.02 of it.
-- The lua5.4 program sets its collector to generational, and isolates have Lua's own default, the incremental one;
-- plain Lua with that stands beside the floor.

local frame = require "bench.frame"

local p10 = {title = "Lua alone, limited and stoppable", sides = {}}

-- The programs, as text: they get a number, and return seconds.
local head <const> = [[
  local now, n = require "system".monotime, ...
  local start = now()
]]

local programs = {
  calls = [[
    local function fib(k)
      if k < 2 then return k end
      return fib(k - 1) + fib(k - 2)
    end
    fib(n)
    return now() - start
  ]],
  tables = [[
    local sum = 0
    for _ = 1, n do
      local list = {}
      for i = 1, 100 do list[i] = {key = i, value = i * 2} end
      for i = 1, 100 do sum = sum + list[i].value end
      table.sort(list, function(a, b) return a.key > b.key end)
    end
    return now() - start
  ]],
  strings = [[
    local parts = {}
    for i = 1, n do
      local text = ("%d:%s"):format(i, ("ab"):rep(i % 20))
      parts[i % 1000] = text:gsub("ab", "c"):upper() .. #text
    end
    local all = table.concat(parts)
    for _ in all:gmatch "%d+" do n = n + 1 end
    return now() - start
  ]],
  methods = [[
    local Counter = {}
    Counter.__index = Counter
    function Counter:add(k) self.sum = self.sum + k return self end
    local Derived = setmetatable({}, {__index = Counter})
    Derived.__index = Derived
    function Derived:twice(k) return self:add(k):add(k) end
    local object = setmetatable({sum = 0}, Derived)
    for i = 1, n do object:twice(i) end
    return now() - start
  ]],
}

function p10.sides.plain(name, n)
  return load(head .. programs[name])(tonumber(n))
end

function p10.sides.incremental(name, n)
  collectgarbage "incremental"
  return p10.sides.plain(name, n)
end

function p10.sides.isolate(name, n)
  local Isolate = require "isolate"
  local port <close> = Isolate.ReceivePort()
  local code, size = head .. programs[name], tonumber(n)
  return Isolate.compute(function() return load(code)(size) end, nil, {
    memory_limit = 1 << 30, timeout = 3600, on_exit = port.send_port, on_error = port.send_port,
  }):await()
end

local function row(title, name, n)
  return {
    title, unit = "ms", ours = ("p10 isolate %s %d"):format(name, n),
    floor = ("p10 plain %s %d"):format(name, n), goal = frame.at_most(1.02),
    others = {{"plain, incremental", ("p10 incremental %s %d"):format(name, n)}},
  }
end

p10.rows = {
  row("recursive calls", "calls", 33), row("tables made and sorted", "tables", 7000),
  row("strings built and searched", "strings", 250000), row("methods called", "methods", 5000000),
}

return p10
