-- Requests of many paths, sizes, methods and agents, for wrk. No HEAD: wrk waits
-- for the body that its answer announces.
local sizes = { 0, 1, 17, 1000, 4096, 65536, 300000 }
local n = 0

request = function()
  n = n + 1
  local size = sizes[n % #sizes + 1]
  local path = "/size-" .. size
  local method = "GET"
  local headers = { ["User-Agent"] = "wrk \"" .. n % 3 .. "\" \\ end", ["Referer"] = "http://example.com/" .. n % 5 }
  if n % 11 == 0 then path = "/dir/" .. n % 40 .. "?page=" .. n % 7 .. "&q=%20" end
  if n % 13 == 0 then path = "/absent/" .. n % 9 end
  if n % 19 == 0 then headers["Range"] = "bytes=5-20" end
  if n % 23 == 0 then path = "/moved?n=" .. n end
  if n % 29 == 0 then method = "POST" end
  return wrk.format(method, path, headers, nil)
end
