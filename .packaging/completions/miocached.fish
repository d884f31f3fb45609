complete -c miocached -s p -l port -d 'TCP port; 0 or -1 for any free port [default: 11211]' -r
complete -c miocached -s l -l listen -d 'Address to listen on; may be given several times [default: 127.0.0.1]' -r
complete -c miocached -s s -l unix-socket -d 'Unix socket to listen on, instead of TCP' -r -F
complete -c miocached -s a -l unix-mask -d 'Permissions of the Unix socket, in octal' -r
complete -c miocached -l metrics -d 'Serve metrics for Prometheus, and a live page of them, over HTTP' -r
complete -c miocached -s c -l conn-limit -d 'Maximum number of client connections' -r
complete -c miocached -s b -l listen-backlog -d 'Length of the kernel\'s queue of connections that are not accepted yet' -r
complete -c miocached -s U -l udp-port -d 'TCP port if neither -p nor -s is given; there is no UDP' -r
complete -c miocached -s m -l memory-limit -d 'Memory for items, in MiB' -r
complete -c miocached -s I -l max-item-size -d 'Largest item, in bytes or with suffix k or m [default: 1m]' -r
complete -c miocached -l buffer-limit -d 'Memory for the read and write buffers of all connections, in MiB' -r
complete -c miocached -l dialect -d 'How the dialect of a line is chosen' -r -f -a "auto\t'Simple: a get, short set or unknown command on a bare LF; all else classic'
simple\t'All lines are simple, and -B auto allows no binary'
classic\t'All lines are classic, memcached\'s text protocol'"
complete -c miocached -s B -l protocol -d 'Protocol that clients speak [default: auto, or ascii with -Y]' -r -f -a "auto\t'Binary where a connection\'s first byte is 0x80, else text'
ascii\t'The text protocol, in the dialects that --dialect allows'
binary\t'The binary protocol'"
complete -c miocached -s R -l max-reqs-per-event -d 'Maximum requests of one connection per turn [default: a buffer of 16 KiB]' -r
complete -c miocached -l busy-poll -d 'Poll for so many microseconds after an event before sleeping' -r
complete -c miocached -s D -d 'Count requests by key prefix; this character ends a prefix' -r
complete -c miocached -s o -l extended -d 'Suboptions, separated by commas; may be given several times' -r
complete -c miocached -s Y -l auth-file -d 'File of user:password lines, one of which a client must send first' -r -F
complete -c miocached -s u -l user -d 'User to change to when started by root' -r
complete -c miocached -s P -l pidfile -d 'Write the process id to this file' -r -F
complete -c miocached -l snapshot -d 'Keep the items over a restart, in this file' -r -F
complete -c miocached -s t -l threads -d 'Number of threads; this server has one' -r
complete -c miocached -l trace-file -d 'Record what the event loop does, for ui.perfetto.dev or chrome://tracing' -r -F
complete -c miocached -s f -l slab-growth-factor -d 'Ignored: growth of the sizes of slab classes' -r
complete -c miocached -s n -l slab-min-size -d 'Ignored: size of the smallest slab class' -r
complete -c miocached -s N -l napi-ids -d 'Ignored: choice of the worker thread by network queue' -r
complete -c miocached -s e -l memory-file -d 'Refused: a file that keeps items over a restart; see --snapshot' -r
complete -c miocached -s M -l disable-evictions -d 'Refuse new items with an error when the memory is full, instead of evicting others'
complete -c miocached -s L -l enable-largepages -d 'Use huge pages for the memory for items, if the kernel has any'
complete -c miocached -s k -l lock-memory -d 'Lock all memory, so that none of it is swapped out'
complete -c miocached -s C -l disable-cas -d 'Give items no cas ids'
complete -c miocached -l hot-keys -d 'Find the keys that are fetched most'
complete -c miocached -s F -l disable-flush-all -d 'Forbid flush_all and flush_prefix'
complete -c miocached -s X -l disable-dumping -d 'Forbid commands that list keys'
complete -c miocached -s W -l disable-watch -d 'Forbid watch, which shows events of other clients'
complete -c miocached -s A -l enable-shutdown -d 'Allow shutdown'
complete -c miocached -s d -l daemon -d 'Run in the background'
complete -c miocached -s r -l enable-coredumps -d 'Allow core dumps of any size'
complete -c miocached -l stdio -d 'Serve standard input and output as one connection, and listen on nothing'
complete -c miocached -s v -l verbose -d 'Log connections; -vv logs every step of the event loop and of each request'
complete -c miocached -s i -l license -d 'Print the license'
complete -c miocached -s S -l enable-sasl -d 'Refused: SASL authentication'
complete -c miocached -s Z -l enable-ssl -d 'Refused: TLS'
complete -c miocached -s h -l help -d 'Print help (see more with \'--help\')'
complete -c miocached -s V -l version -d 'Print version'
