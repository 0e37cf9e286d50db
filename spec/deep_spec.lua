-- Depth has no limit: neither end recurses, not even on the smallest stack.

local Isolate = require "isolate"
local trip    = require "spec.fixtures.trip"

local smallest = { stack_size = 512 * 1024 }

-- A class whose objects are made anew, one inside the other.
local Link = { __name = "Link" }

local function link(inner) return setmetatable({ inner = inner, made = true }, Link) end

function Link.__transfer(object) return link, object.inner end

local shapes = {
  { name = "lists", levels = 1000000,
    wrap = function(inner) return { inner } end,
    peel = function(t) return t[1] end },
  { name = "named fields", levels = 100000,
    wrap = function(inner) return { name = "x", inner = inner, after = "y" } end,
    peel = function(t) return t.after == "y" and t.inner or nil end },
  { name = "keys", levels = 100000,
    wrap = function(inner) return { [inner or "end"] = true } end,
    peel = function(t)
      local k = next(t)
      if k ~= "end" then return k end
    end },
  { name = "metatables", levels = 100000,
    wrap = function(inner) return setmetatable({}, inner) end,
    peel = getmetatable },
  { name = "upvalues", levels = 100000,
    wrap = function(inner) return function() return inner end end,
    peel = function(f) return f() end },
  { name = "objects with __transfer", levels = 100000,
    wrap = link,
    peel = function(object) return object.made and object.inner or nil end },
  { name = "lists that each hold the outermost", levels = 100000,
    wrap = function(inner, outermost) return { inner or false, outermost } end,
    peel = function(t) return t[1] or nil end },
}

local function build(shape)
  local outermost = { false }
  local value
  for _ = 1, shape.levels do value = shape.wrap(value, outermost) end
  outermost[1] = value
  return value
end

local function measure(value, peel)
  local levels = 0
  while value ~= nil do
    levels = levels + 1
    value = peel(value)
  end
  return levels
end

for _, shape in ipairs(shapes) do
  describe(("%d %s inside one another"):format(shape.levels, shape.name), function()
    after_each(function() collectgarbage() end)

    it("arrive within one isolate", function()
      local got = trip.here { build(shape), shape.peel }
      assert.equal(shape.levels, measure(got[1], got[2]))
    end)

    it("go to an isolate of the smallest stack and come back", function()
      local function visit(message)
        return measure(message.value, message.peel), message.value
      end
      local message = { value = build(shape), peel = shape.peel }
      local levels, back = Isolate.compute(visit, message, smallest):await()
      assert.equal(shape.levels, levels)
      assert.equal(shape.levels, measure(back, shape.peel))
    end)

    it("are refused for what the innermost holds", function()
      local value = { coroutine.create(print) }
      for _ = 1, shape.levels // 10 do value = shape.wrap(value, {}) end
      local text = trip.unsent(value)
      assert.truthy(text:find("a coroutine stays in its isolate", 1, true))
    end)
  end)
end

describe("a nested list #slow", function()
  it("is compared over there, level by level, and sent back", function()
    local levels = 1000000
    local function nest(n)
      local list = {}
      for i = 1, n do list = { i, list } end
      return list
    end
    local function compare(list)
      local own = nest(levels)
      while own[1] do
        if list[1] ~= own[1] then return false, list[1] end
        list, own = list[2], own[2]
      end
      return next(list) == nil, own[1]
    end
    local function job(list)
      return compare(list), list
    end
    local same, back = Isolate.compute(job, nest(levels), smallest):await()
    assert.is_true(same)
    assert.is_true(compare(back))
  end)
end)

describe("a chain of 10,000 global functions #slow", function()
  it("goes along", function()
    local env = {}
    for i = 1, 10000 do
      local code = i == 1 and "return 'the end'" or ("return spec_chain%d"):format(i - 1)
      env["spec_chain" .. i] = load(code, "=chain", "t", env)
    end
    local function last(f)
      local steps = 0
      while type(f) == "function" do
        f = f()
        steps = steps + 1
      end
      return steps, f
    end
    local future = Isolate.compute(last, env.spec_chain10000, smallest)
    assert.same({ 10000, "the end" }, { future:await() })
  end)
end)
