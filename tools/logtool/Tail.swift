import ArgumentParser
import Base
import Glibc
import LogStore

/// `radiator-log tail`: messages as they are written.
struct Tail: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints the last messages, and with -f new ones as they are written.",
        discussion: """
            Reads beside the daemon, like --live, and changes nothing. One line of JSON for each entry, \
            as `dump` prints it. A new message is shown as soon as its group is wholly in the file, \
            which is when the daemon syncs it; messages of one transaction appear together. Messages of \
            memory queues and topics are never in the log.

            -n looks at the newest segments first, and further back only as far as needed.

            EXIT STATUS
              0  done (without -f)      1  damage met on the way back, listed on standard error
              2  cannot read: no store there, no permission, a newer format

            EXAMPLES
              radiator-log tail -f /var/lib/radiator | jq -c '[.queue, .body]'
              radiator-log tail -n 100 --queue '/queue/dead.*' /var/lib/radiator
            """
    )

    @Argument(help: "The store's directory.", completion: .directory)
    var directory: String

    @Flag(name: .short, help: "Go on with new messages until stopped.")
    var follow = false

    @Option(name: .short, help: ArgumentHelp("Begin with the last N lines.", valueName: "n"))
    var number = 10

    @Option(
        name: .customLong("queue"),
        help: ArgumentHelp(
            "Only queues of this name; * stands for any characters. May be repeated.",
            valueName: "name"
        )
    )
    var queues: [String] = []

    @Option(help: ArgumentHelp("How bodies are printed, as for dump.", valueName: "form"))
    var body = BodyForm.auto

    /// Lines that are held until the newest are known.
    private static let heldBytesMax = 64 << 20

    func validate() throws {
        if !(0...10_000).contains(number) { throw ValidationError("-n is 0 to 10000.") }
    }

    func run() throws {
        let output = LineOutput()
        let damage = try reportingFailure {
            // Its place first: what comes while the past is read is shown once, from there on.
            var follower = try follow ? LogFollower<PosixFileSystem>.onDisk(directory) : nil
            let damage = try printLast(output, before: follower?.position)
            Terminal.complain(damage)
            try output.finish()
            if follower != nil { try print(&follower, output) }
            return damage
        }
        if !damage.isEmpty { throw ExitStatus.damage }
    }

    private func printLast(
        _ output: LineOutput,
        before end: LogPosition?
    ) throws -> [Damage] {
        guard number > 0 else { return [] }
        let filter = MessageFilter(queues: queues)
        var line = MessageLine(body: body)
        var last: [JSONLine] = []
        var bytes = 0
        var damage: [Damage] = []
        var segments = 1
        while true {
            last = []
            bytes = 0
            let report = try MessageReader.runOnDisk(
                directory,
                isLive: true,
                newestSegments: segments,
                choice: .all,
                queues: segments == 1 ? filter.noteIfNoneMatches : { _ in }
            ) { message, headers, body in
                if let end, message.position >= end { return true }
                let entries = message.entries.filter(filter.takes)
                return line.print(entries, of: message, headers: headers, body: body) {
                    last.append($0)
                    bytes += $0.bytes.count
                    var gone = last.count >= 2 * number ? last.count - number : 0
                    for line in last.prefix(gone) { bytes -= line.bytes.count }
                    while bytes > Self.heldBytesMax, gone < last.count - 1 {
                        bytes -= last[gone].bytes.count
                        gone += 1
                    }
                    last.removeFirst(gone)
                    return true
                }
            }
            damage = report.damage
            if last.count >= number || report.isWhole { break }
            segments *= 2
        }
        if last.count < number, bytes > Self.heldBytesMax / 2 {
            Terminal.complain(
                "radiator-log: note: only the last \(last.count) messages; more of this size would not "
                    + "fit into \(ByteCount(Self.heldBytesMax)) (--body none shows more)"
            )
        }
        for line in last.suffix(number) where !output.write(line) { break }
        return damage
    }

    private func print(
        _ follower: inout LogFollower<PosixFileSystem>?,
        _ output: LineOutput
    ) throws {
        let filter = MessageFilter(queues: queues)
        var line = MessageLine(body: body)
        var isWanted = true
        while isWanted {
            isWanted =
                try follower?.pollOnDisk { message, headers, body in
                    let entries = message.entries.filter(filter.takes)
                    return line.print(
                        entries,
                        of: message,
                        headers: headers,
                        body: body,
                        output.write
                    )
                } ?? false
            for note in follower?.notes ?? [] { Terminal.complain("radiator-log: \(note)") }
            try output.finish()
            usleep(50_000)
        }
    }
}
