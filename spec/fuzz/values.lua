--[[
values.lua
What the decoder's fuzzer knows: functions whose code may stand in a message, the
modules that a message may name, and values to begin with. Loaded by decoder.c.
]]

local maxinteger, dump, load = math.maxinteger, string.dump, load

-- Many closures of few pieces of code. None calls what it is given, and none loops:
-- whatever the fuzzer makes of their upvalues and arguments, they come back.

local function give_back(...) return ... end

local function pair()
  local a, b
  return function() return a, b end, function(x) a, b = b, x end
end
local get, set = pair()

local function self(x) return self, x end

local function reads_globals(x) return fuzz_first, x, fuzz_second.name end

local function sets_global(x) fuzz_first = x end

local function fails(x) error(x) end

local function is_own_class(x) return type(x) == "table" and setmetatable(x, x) or nil end

local function nested(x)
  return function() x = fuzz_first; return function() return x end end
end

local nameless = load(dump(reads_globals, true), "=(load)", "b")

local values = {}

--- All that may be loaded as code.
values.functions = {
  give_back, get, set, self, reads_globals, sets_global, fails, is_own_class, nested, nameless, nested(), nested()(),
}

--- Called in each new state, as a copy without upvalues: one module to be named, and
-- nothing left that could harm, hang or print.
function values.prepare()
  local function only(library, names)
    local kept = {}
    for name in names:gmatch "%g+" do kept[name] = library[name] end
    for name in next, library do library[name] = kept[name] end
  end

  local shape = { Box = { __name = "Box" }, unit = 1, list = { 1, 2 } }
  shape.Box.__index = shape.Box
  function shape.Box.width(box) return box.w end
  function shape.area(box) return box.w end
  package.loaded["fuzz.shape"] = shape
  package.preload["fuzz.shape"] = function() return shape end
  package.preload["fuzz.broken"] = function() error "this module is broken" end
  package.loaded["isolate.core"] = nil

  package.path, package.cpath = "", ""
  only(package, "loaded preload path cpath searchers searchpath config")
  only(table, "pack unpack")
  only(_G, "_G _VERSION assert error getmetatable ipairs next package pairs pcall rawequal rawget rawlen "
    .. "require select setmetatable string table tonumber tostring type xpcall")
  only(string, "byte format len rep sub upper")
end

--- Values to begin with: name → value, or a function of the core that makes it.
function values.seeds(core)
  local seeds = {}

  seeds.simple = { true, false, 0, -1, 127, 128, -32768, 1 << 31, maxinteger, 0.0, -0.0, 0.1, 1 / 0, 0 / 0,
                   "", "short", ("long"):rep(64), core.light }
  seeds.keys = { [true] = 1, [1.5] = 2, [-7] = 3, ["a\0b"] = 4, [core.light] = 5, [{ 6 }] = { 7 } }
  seeds.holes = { 1, nil, 3, nil, nil, 6, n = 7 }
  seeds.text = "just a string"
  seeds.none = {}

  seeds.words = {}
  for i = 1, 40 do
    seeds.words[i] = { name = "a name that comes again", ["key " .. i % 9] = "value " .. i % 7, tags = { "x", "y", i } }
  end

  local shared = { ("s"):rep(300) }
  seeds.shared = { shared, { shared }, name = shared, again = shared[1] }

  local ring = {}
  ring.ring, ring[ring] = ring, { ring }
  seeds.ring = ring

  local deep = {}
  for i = 1, 60 do deep = { i, deep, [deep] = i } end
  seeds.deep = deep

  local shape = require "fuzz.shape"
  seeds.named = { shape, shape.area, string, string.format, pairs, _G, shape, string, select }
  seeds.objects = { setmetatable({ w = 1 }, shape.Box), setmetatable({}, { __index = shared, __mode = "k" }) }
  local own = { "its own class" }
  seeds.own = setmetatable(own, own)

  local a, b = pair()
  b "x" b(a)
  seeds.pair = { a, b, [a] = b }
  seeds.self = self
  seeds.code = { give_back, fails, is_own_class, nested({ 1 }), nested("x")(), sets_global }

  fuzz_first, fuzz_second = { "a global" }, setmetatable({}, shape.Box)
  seeds.globals = { reads_globals, nameless, sets_global }
  seeds.c_functions = core.functions

  local port = core.port()
  seeds.ports = { port, port, core.port(), core.capability(), [port] = 1, [core.capability()] = {} }

  -- What is rebuilt over there, in every place that a value may have.
  local class = {}
  local function rebuilt(...)
    local arguments = table.pack(...)
    return setmetatable({}, { __transfer = function() return table.unpack(arguments, 1, arguments.n) end })
  end
  seeds.rebuilt = rebuilt(give_back, { 1 }, "two")
  local node = rebuilt(give_back, class)
  class.node = node
  seeds.rebuilt_inside = { node, name = node, [node] = { node }, [rebuilt(give_back, 1)] = rebuilt(give_back, node) }
  local get_node, set_node = pair()
  set_node(node)
  seeds.rebuilt_upvalue = { get_node, set_node }
  seeds.rebuilt_class = setmetatable({ 1 }, rebuilt(give_back, { __index = class }))
  local function reads(environment) return load(dump(reads_globals), "=(load)", "b", environment) end
  seeds.rebuilt_globals = { reads_globals, reads { fuzz_first = node }, reads { fuzz_second = node } }
  seeds.rebuilt_by_c = { rebuilt(setmetatable, {}, {}), rebuilt(core.functions[1], 1), rebuilt(core.functions[2]),
                         rebuilt(core.functions[3]) }
  seeds.rebuild_fails = rebuilt(fails, "no")
  seeds.rebuilt_nil = { [rebuilt(give_back)] = 1 }
  return seeds
end

return values
