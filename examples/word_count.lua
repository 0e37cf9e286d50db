-- word_count.lua: the words of all files of a folder tree, counted on one core, then by a pool on all of them.
-- Each job is a group of files; what comes back is a table of counts, which is added up here.
-- Run it:  lua5.4 examples/word_count.lua [folder]       (default: /usr/include/linux)
local Isolate = require "isolate"
local lfs     = require "lfs"
local now     = require "system".monotime

local files_under, groups_of, count_words, add, top    -- below

local function main()
  local folder = arg[1] or "/usr/include/linux"
  local groups, n = groups_of(files_under(folder, {}), 40)

  local start, alone = now(), {}
  for _, group in ipairs(groups) do add(alone, count_words(group)) end
  local one = now() - start

  local pool <close> = Isolate.Pool()
  start = now()
  local counts = {}
  for _, of_group in pool:imap(count_words, groups.next) do add(counts, of_group) end
  local all = now() - start

  assert(counts.total == alone.total)
  print(("%d files, %d words; the most frequent: %s"):format(n, counts.total, top(counts, 5)))
  print(("one core %.2f s, pool of %d %.2f s: %.2f times as fast"):format(one, Isolate.processors(), all, one / all))
end

-- Adds the paths of all files under `folder` to `list`, in the order of their names.
function files_under(folder, list)
  local names = {}
  for name in lfs.dir(folder) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local path = folder .. "/" .. name
    local mode = name ~= "." and name ~= ".." and lfs.symlinkattributes(path, "mode")
    if mode == "directory" then files_under(path, list) end
    if mode == "file" then list[#list + 1] = path end
  end
  return list
end

-- The list in groups of `size`, with `next()`, which gives one after the other; and how many items there are.
function groups_of(list, size)
  local groups, given = {}, 0
  for i = 1, #list, size do groups[#groups + 1] = table.move(list, i, math.min(i + size - 1, #list), 1, {}) end
  function groups.next()
    given = given + 1
    return groups[given]
  end
  return groups, #list
end

-- Runs in a worker: word -> how often, and the total.
function count_words(group)
  local counts, total = {}, 0
  for _, path in ipairs(group) do
    local file <close> = assert(io.open(path, "rb"))
    for word in file:read "a":gmatch "%a[%w_]+" do
      counts[word] = (counts[word] or 0) + 1
      total = total + 1
    end
  end
  return { words = counts, total = total }
end

function add(sum, counts)
  sum.total = (sum.total or 0) + counts.total
  sum.words = sum.words or {}
  for word, n in pairs(counts.words) do sum.words[word] = (sum.words[word] or 0) + n end
end

function top(counts, n)
  local list = {}
  for word in pairs(counts.words) do list[#list + 1] = word end
  table.sort(list, function(a, b)
    local x, y = counts.words[a], counts.words[b]
    return x > y or x == y and a < b
  end)
  return table.concat(list, ", ", 1, math.min(n, #list))
end

main()

--[[ Output:
<n> files, <n> words; the most frequent: <words>
one core <n> s, pool of <n> <n> s: <n> times as fast
]]
