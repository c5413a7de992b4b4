import ArgumentParser
import FoundationEssentials
import Glibc
import Server

/// The daemon's command line: arguments in, exit code out.
@main
struct Radiatord: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "radiatord",
        abstract: "A message broker: STOMP clients, queues that survive a power cut.",
        discussion: """
            Without arguments it listens on 127.0.0.1:61613 and keeps its data in ./radiator-data. \
            `radiatord run --help` lists the options; `run` may be left out: \
            radiatord --config radiator.toml

            SIGTERM and SIGINT stop it cleanly, SIGHUP has it read its configuration again. Exit codes: \
            0 stopped or sound, 1 could not start or had to end, 64 wrong arguments.
            """,
        version: "radiatord \(Server.version)",
        subcommands: [Run.self, ConfigCommand.self, UserCommand.self],
        defaultSubcommand: Run.self
    )
}

/// `radiatord run`: the daemon.
struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the broker; the default.",
        discussion: """
            Settings come from the file, then from the environment (RADIATOR_<SECTION>_<KEY>, as in \
            RADIATOR_STORAGE_FSYNC=50ms), then from the options here; the later ones count. \
            radiator.example.toml explains every setting.
            """
    )

    @Option(help: ArgumentHelp("The configuration file, in TOML.", valueName: "file"))
    var config: String?

    @Option(help: ArgumentHelp("The directory of the messages.", valueName: "dir"))
    var data: String?

    @Option(
        help: ArgumentHelp(
            """
            An address for STOMP clients, instead of all [[listen]]; port 0 takes a free one. May be \
            repeated.
            """,
            valueName: "host:port"
        )
    )
    var listen: [String] = []

    @Flag(help: "Only check the configuration: every problem, or a summary.")
    var check = false

    func run() async throws {
        EarlyHangup.watch()
        do {
            let configuration = try Configuration.load(
                .init(config: config, data: data, listen: listen),
                environment: ProcessInfo.processInfo.environment,
                readsCertificates: true
            )
            if check {
                print(try configuration.report())
            } else {
                let commandLine = Configuration.CommandLine(
                    config: config,
                    data: data,
                    listen: listen
                )
                try await Server.run(configuration) { () throws(ConfigurationError) in
                    try Configuration.load(
                        commandLine,
                        environment: ProcessInfo.processInfo.environment,
                        readsCertificates: true
                    )
                }
            }
        } catch {
            throw Complaint.failure(error)
        }
    }
}

/// What goes to standard error before the exit.
enum Complaint {
    /// Prints what went wrong; returns the exit code to throw.
    static func failure(_ error: any Error) -> ExitCode {
        if let error = error as? ConfigurationError {
            let count = error.problems.count
            print("\(error)\nradiatord: \(count) configuration problem\(count == 1 ? "" : "s")")
        } else {
            print("radiatord: \(error)")
        }
        return .failure
    }

    /// Prints a line.
    static func print(_ text: String) {
        let line = text + "\n"
        _ = write(STDERR_FILENO, line, line.utf8.count)
    }
}
