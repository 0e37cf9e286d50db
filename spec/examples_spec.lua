-- examples_spec.lua
-- Runs every example as the program it is, and compares what it prints with the comment at its end.

local helper = require "spec.helper"
local lfs = require "lfs"

local cache = helper.tempdir()

local function run(name, photos)
  return helper.run_file("examples/" .. name, {
    guard = 60,
    env = {PHOTOS = tostring(photos), LOG_MB = "8", SECONDS = tostring(0.3 * helper.slow), XDG_CACHE_HOME = cache},
  })
end

-- The programs in examples/ and in examples/tutorial/; deeper folders hold their modules.
local function examples()
  local names = {}
  for _, folder in ipairs {"", "tutorial/"} do
    for name in lfs.dir("examples/" .. folder) do
      if name:find "%.lua$" then names[#names + 1] = folder .. name end
    end
  end
  table.sort(names)
  return names
end

-- The lines of `text`, without empty ones at its end.
local function lines(text)
  local list = {}
  for line in (text:gsub("%s+$", "") .. "\n"):gmatch "([^\n]*)\n" do list[#list + 1] = line end
  return list
end

-- A Lua pattern for a line of expected output: `<n>` is a number, any other `<word>` some text.
local function pattern(line)
  local escaped = line:gsub("%p", "%%%0"):gsub("%%<n%%>", "%%d+%%.?%%d*"):gsub("%%<%a+%%>", ".+")
  return "^" .. escaped .. "$"
end

-- The text expected, each line with `<n>` and the like replaced by the actual one where that fits.
local function fill(expected, actual)
  for i, line in ipairs(expected) do
    if line:find "<%a+>" and actual[i] and actual[i]:find(pattern(line)) then expected[i] = actual[i] end
  end
  return table.concat(expected, "\n")
end

describe("each example", function()
  for _, name in ipairs(examples()) do
    it("prints what it says at its end: " .. name, function()
      local result = run(name, 3000)
      local output = lines((result.stdout:gsub("[^%s:]*/examples/", "examples/")))  -- whatever path it was run by
      assert.equal("", result.stderr)
      assert.equal(fill(lines(helper.expected_output("examples/" .. name)), output), table.concat(output, "\n"))
      assert.equal(0, result.status)
    end)
  end
end)

describe("photos.lua", function()
  it("makes as many records as it is asked for", function()
    assert.matches("In an isolate: 100 photos", run("photos.lua", 100).stdout, 1, true)
  end)
end)
