import ArgumentParser
import Glibc
import LogStore

/// `radiator-log`: looks at a store's directory without a daemon.
@main
struct LogTool: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "radiator-log",
        abstract: "Looks at the log of a radiator store, without a daemon.",
        discussion: """
            DIR is a store's directory: the daemon's `data` setting. Nothing in it is ever created, \
            changed or removed, so reading rights are enough and a read-only mount will do. A \
            directory that a daemon has open is refused unless --live is given.

            EXIT STATUS
              0   the directory was read; for verify: the store is sound
              1   verify found damage, or inspect met some on its way
              2   cannot read: no store there, no permission, a newer format, or in use
              64  the command line is wrong

            EXAMPLES
              radiator-log inspect /var/lib/radiator
              radiator-log verify --live /var/lib/radiator
              radiator-log verify --json /backup/radiator > verdict.json
            """,
        subcommands: [Inspect.self, Verify.self]
    )
}

/// What every verb takes.
struct StoreArguments: ParsableArguments {
    @Argument(help: "The store's directory.", completion: .directory)
    var directory: String

    @Flag(help: "Print one JSON document instead of text.")
    var json = false

    @Flag(
        help: """
            Read beside a running daemon, without taking the lock. The active segment is read up to \
            its last complete group.
            """
    )
    var live = false
}

/// How the tool ends.
enum ExitStatus {
    static let damage = ExitCode(1)
    static let cannotRead = ExitCode(2)
}

extension StoreArguments {
    /// Runs `body`; what it cannot read becomes a sentence on standard error and exit status 2.
    func reading<Report>(_ body: () throws(LogStoreError) -> Report) throws -> Report {
        do throws(LogStoreError) {
            return try body()
        } catch {
            var text = "radiator-log: \(error)"
            if case .inUse = error { text += "; --live reads beside it" }
            if json { print(JSON.object([("error", .string("\(error)"))]).text) }
            Terminal.complain(text)
            throw ExitStatus.cannotRead
        }
    }
}

/// Standard error, as text.
enum Terminal {
    /// Whether a person watches standard error.
    static var isInteractive: Bool { isatty(STDERR_FILENO) == 1 }

    static func complain(_ line: String) { write(line + "\n") }

    static func write(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes {
                Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count)
            }
            // Nobody reads it: there is no one left to tell.
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }
}
