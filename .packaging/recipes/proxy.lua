-- memcached's proxy in front of two servers. In a clone of memcached's sources:
--   sh vendor/fetch.sh && sh autogen.sh && ./configure --enable-proxy && make
--   ./memcached -p 11210 -o proxy_config=routelib,proxy_arg=proxy.lua
pools{ main = { backends = { "127.0.0.1:11211", "127.0.0.1:11212" } } }
routes{ default = route_direct{ child = "main" } }
