# The client of tcllib, and the cases that every client program goes through.
package require Tcl 8.6
package require websocket

encoding system utf-8
fconfigure stdout -encoding utf-8 -buffering line
set url [lindex $argv 0]
set TEXT "Grüße, 你好, 👋"
set cannot [dict create compressed "it offers no extensions" close "it ends the connection without a Close frame"]

set bytes ""
for {set i 0} {$i < 256} {incr i} {append bytes [binary format c $i]}
set large ""
for {set i 0} {$i < 300000} {incr i} {append large [binary format c [expr {($i * 7 + ($i >> 8)) & 255}]]}
set digits [string repeat 0123456789 30000]

proc quote {text} {return "\"[string map {\\ \\\\ \" \\\" \n " "} $text]\""}

proc tell {name {outcome ""}} {puts "{\"case\":[quote $name]$outcome}"}

# What the handler is called with, in the order in which it is called.
proc onEvent {sock type message} {lappend ::events [list $type $message $sock]}

# The next event of these kinds; Pings are answered by the library.
proc await {args} {
    while 1 {
        while {![llength $::events]} {vwait ::events}
        set ::events [lassign $::events event]
        if {[lindex $event 0] in $args} {return $event}
        if {[lindex $event 0] in {close disconnect error timeout}} {error "instead of $args: $event"}
    }
}

proc expect {type data} {
    lassign [await text binary] answerType answer
    if {$answerType ne $type || $answer ne $data} {error "another answer"}
}

proc attempt {name body} {
    if {[dict exists $::cannot $name]} {
        tell $name ",\"cannot\":[quote [dict get $::cannot $name]]"
        return
    }
    set ::events {}
    if {[catch {
        # Without a name it sends an empty Sec-WebSocket-Protocol, which no server has to take.
        ::websocket::open $::url/$name onEvent -protocol cases
        lassign [await connect error] type message sock
        if {$type eq "connect"} {
            set outcome [apply [list sock $body] $sock]
        } elseif {[regexp {HTTP error code (\d+)} $message -> status] && [string match refused/* $name]} {
            # Only in words.
            set outcome ",\"status\":$status"
        } else {
            set outcome ",\"error\":[quote $message]"
        }
        tell $name $outcome
    } message]} {tell $name ",\"error\":[quote $message]"}
}

proc echo {sock args} {
    foreach {type data} $args {
        ::websocket::send $sock $type $data
        expect $type $data
    }
    ::websocket::close $sock
}

attempt text {echo $sock text $::TEXT}
attempt binary {echo $sock binary $::bytes}
attempt empty {echo $sock text "" binary ""}
attempt large {echo $sock binary $::large}
attempt fragments {
    ::websocket::send $sock text "Grüße, " 0
    ::websocket::send $sock text "你好, " 0
    ::websocket::send $sock text "👋" 1
    expect text $::TEXT
    ::websocket::close $sock
}
foreach name {fragmented cut} {
    attempt $name {
        expect text $::TEXT
        ::websocket::send $sock text $::TEXT
        ::websocket::close $sock
    }
}
attempt compressed {}
attempt ping {
    ::websocket::send $sock ping ping
    if {[lindex [await pong] 1] ne "ping"} {error "another Pong"}
    ::websocket::close $sock
}
attempt pong {
    expect text "ponged are you there?"
    ::websocket::close $sock
}
attempt close {}
attempt closed {
    lassign [lindex [await close] 1] code reason
    return ",\"code\":$code,\"reason\":[quote $reason]"
}
foreach status {401 403 503} {attempt refused/$status {error "it was not refused"}}
tell answering ",\"cannot\":[quote "it answers no Close frame: the server sees 1006"]"
tell asking ",\"cannot\":[quote "without -protocol it sends an empty Sec-WebSocket-Protocol, which is answered 400"]"
exit
