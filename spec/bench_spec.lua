-- bench_spec.lua
-- The benchmarks: that each side of each measure runs, at a tiny size, so that none rots unseen; and the frame that makes
-- a row of what the sides print. How fast anything is, is not asked here.

local helper = require "spec.helper"

describe("the frame", function()
  local frame = require "bench.frame"
  local report = require "bench.report"
  local svg = require "bench.svg"

  -- The results of a row whose commands are shell commands.
  local function measure(row)
    return frame.measure(row, 3, function(command) return command end)
  end

  it("sets ours against the floor", function()
    local result = measure {"a row", unit = "us", ours = "echo 3e-6", floor = "echo 2e-6", goal = frame.at_most(1.5)}
    assert.same({3e-6, 3e-6, 3e-6}, result.ours)
    assert.equal(2e-6, result.floor)
    assert.equal(1.5, result.ratio)
    assert.equal("yes", result.met)
  end)

  it("compares rates, not seconds, where a row shows rates", function()
    local result = measure {"a row", unit = "rate", ours = "echo 2", floor = "echo 1", goal = frame.at_least(0.6)}
    assert.equal(0.5, result.ratio)
    assert.equal("no", result.met)
  end)

  it("knows goals in seconds and in numbers", function()
    local function met(goal, ours, floor)
      return measure({"a row", unit = "number", ours = "echo " .. ours, floor = floor and "echo " .. floor, goal = goal}).met
    end
    assert.equal("yes", met(frame.floor_plus(0.004), "0.013", "0.010"))
    assert.equal("no", met(frame.floor_plus(0.004), "0.015", "0.010"))
    assert.equal("yes", met(frame.no_more_than(9), 9))
    assert.equal("no", met(frame.no_more_than(9), 10))
    assert.equal("yes", met(frame.no_less_than(9), 9))
    assert.equal("no", met(frame.no_less_than(9), 8))
  end)

  it("keeps what a side tells besides its number, what others take, and what was published", function()
    local result = measure {
      "a row", unit = "number", ours = "echo 5; echo there 3; echo and back 2",
      others = {{"a peer", "echo 7"}, {"a broken one", "false"}, {"another language", 8}},
    }
    assert.same({
      {"there", 3, own = true}, {"and back", 2, own = true},
      {"a peer", 7, published = false}, {"a broken one", nil, published = false},
      {"another language", 8, published = true},
    }, result.others)
  end)

  it("says so when ours or the floor fails, and meets no goal then", function()
    local ours = measure {"a row", unit = "us", ours = "false", floor = "echo 1", goal = frame.at_most(1)}
    assert.is_nil(ours.ours)
    assert.equal("", ours.met)
    local floor = measure {"a row", unit = "us", ours = "echo 1; false", floor = "echo 1; false", goal = frame.at_most(1)}
    assert.is_nil(floor.floor)
    assert.equal("", floor.met)
  end)

  it("sets the worst ratio of all sizes against the best", function()
    local result = measure {
      "growth", unit = "us", sizes = {1, 2, 4}, budget = 4, goal = frame.at_most(1.3),
      ours = "echo %d # %d times", floor = "echo 1 # of %d, %d times",
    }
    assert.same({1, 2, 4}, result.ours)
    assert.equal(4, result.ratio)
    assert.equal("no", result.met)
  end)

  it("runs a row with fewer rounds without a warm-up", function()
    local path = helper.tempdir() .. "/count"
    local result = measure {"a row", unit = "number", rounds = 2, ours = "echo >>" .. path .. "; wc -l <" .. path}
    assert.same({1, 2}, result.ours)
  end)

  local results = {
    measure {"slow", unit = "ms", ours = "echo 2e-3", floor = "echo 1e-3", goal = frame.at_most(1.5),
             others = {{"luv", "echo 3e-3"}}},
    measure {"  fast & <small>", unit = "rate", ours = "echo 1e-7", floor = "echo 1e-6", goal = frame.at_least(2)},
    measure {"nothing", unit = "number", ours = "echo 0", goal = frame.no_more_than(0)},
    measure {"broken", unit = "us", ours = "false", floor = "echo 1e-6"},
    measure {"growth", unit = "us", sizes = {1, 2}, ours = "echo %d", floor = "echo 1", goal = frame.at_most(1.3)},
  }
  for _, result in ipairs(results) do result.measure, result.title = "P0", "A title" end

  it("prints a table", function()
    assert.equal([[
measure                   ours: min / median / max  floor  ratio  goal     met  others
P0 slow              ms   2 / 2 / 2                 1      2      ≤ 1.5 ×  no   luv 3
P0   fast & <small>  M/s  10 / 10 / 10              1      10     ≥ 2 ×    yes
P0 nothing                0 / 0 / 0                               ≤ 0      yes
P0 broken            µs   failed                    1
P0 growth            ×    1 / 1.50 / 2                     2      ≤ 1.3 ×  no   1: 1 · 2: 2 · by itself 2 · floor by itself 1
]], report.text(results))
  end)

  it("puts the figures between two comments of a text, and nothing else", function()
    local text = "before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n"
    local refreshed = report.refresh(text, {results[1], results[5]}, "today")
    assert.equal([[
before
<!-- bench -->
today

| measure | here | floor | ratio | goal | met |
|---|---|---|---|---|---|
| P0 slow | 2 ms | 1 ms | 2 | ≤ 1.5 × | no |
| P0 growth | 1 … 2 × |  | 2 | ≤ 1.3 × | no |
<!-- /bench -->
after
]], refreshed)
    assert.equal(refreshed, report.refresh(refreshed, {results[1], results[5]}, "today"))
  end)

  it("draws each row that can be compared, and no place that is no number", function()
    local drawing = svg.draw(results, "today")
    for _, text in ipairs {"A title", ">slow<", "fast &amp; &lt;small&gt;", ">nothing<", ">growth<", "today"} do
      assert.truthy(drawing:find(text, 1, true), text)
    end
    assert.falsy(drawing:find "broken")
    assert.falsy(drawing:find "%Wnan" or drawing:find "%Winf")
    assert.truthy(drawing:find "^<svg .*</svg>\n$")
  end)
end)

describe("the benchmarks", function()
  -- A sanitizer would be loaded into the floors as well, which were not built for it.
  local it = os.getenv "SANITIZER" and pending or it

  it("run, each side of each measure #slow", function()
    local result = helper.run_file("bench/run.lua", {guard = 60, env = {TINY = 1, PHOTOS = 1000}})
    local text = result.stdout
    for _, peer in ipairs {"luv", "cqueues"} do  -- `make bench` installs them
      if not pcall(require, peer) then text = text:gsub(peer .. "[^·\n]* failed", "") end
    end
    assert.equal(0, result.status, result.stderr)
    assert.falsy(text:find "failed", text .. result.stderr)
    for _, name in ipairs {"P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9", "P10", "P11", "JOBS", "DART"} do
      assert.truthy(text:find("\n" .. name .. " "), name)
    end
  end)
end)
