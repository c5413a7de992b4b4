import ArgumentParser
import Base
import Glibc

/// `radiator-log`: reads a store's directory without a daemon.
@main
struct LogTool: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "radiator-log",
        abstract: "Reads the log of a radiator store, without a daemon.",
        discussion: """
            DIR is a store's directory: the daemon's `data` setting. Nothing in it is ever created, \
            changed or removed, so reading rights are enough and a read-only mount will do; verbs that \
            write, write a new directory. A directory that a daemon has open is refused unless --live \
            is given.

            EXIT STATUS
              0   done; for verify: the store is sound
              1   damage was met and is listed; everything else was done
              2   cannot read or write: no store there, no permission, a newer format, in use, disk full
              3   replay --to was interrupted; it says how to continue
              64  the command line is wrong

            EXAMPLES
              radiator-log inspect /var/lib/radiator
              radiator-log verify --live /var/lib/radiator
              radiator-log dump --queue '/queue/orders*' --unsettled /var/lib/radiator | jq .body
            """,
        version: "radiator-log \(Release.version)",
        subcommands: [
            Inspect.self, Verify.self, Dump.self, Export.self, Import.self, Repair.self,
            TakeSnapshot.self, Replay.self, Tail.self,
        ]
    )

    /// Runs the verb; a report that could not be written is no success.
    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            if exitCode(for: error) != ExitCode.success || fflush(nil) == 0 {
                exit(withError: error)
            }
        }
        guard fflush(nil) == 0 else {
            Terminal.complain("radiator-log: standard output: \(String(cString: strerror(errno)))")
            exit(withError: ExitStatus.failed)
        }
    }
}

/// What verbs with a report take.
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

/// What verbs that print lines of JSON take.
struct ReadArguments: ParsableArguments {
    @Argument(help: "The store's directory.", completion: .directory)
    var directory: String

    @Flag(
        help: """
            Read beside a running daemon, without taking the lock: what was written when the verb began. \
            What the daemon settles and drops meanwhile may be missing.
            """
    )
    var live = false
}
