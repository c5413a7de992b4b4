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
            Without arguments it listens on 127.0.0.1:61613 and keeps its data in ./radiator-data.

            Settings come from the file, then from the environment (RADIATOR_<SECTION>_<KEY>, as in \
            RADIATOR_STORAGE_FSYNC=50ms), then from the options here; the later ones count. \
            radiator.example.toml explains every setting.

            SIGTERM and SIGINT stop it cleanly. Exit codes: 0 stopped or sound, 1 could not start or \
            had to end, 64 wrong arguments.
            """,
        version: "radiatord \(Server.version)"
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
        do {
            let configuration = try Configuration.load(
                .init(config: config, data: data, listen: listen),
                environment: ProcessInfo.processInfo.environment
            )
            if check {
                print(configuration.summary)
            } else {
                try await Server.run(configuration)
            }
        } catch let error as ConfigurationError {
            let count = error.problems.count
            complain("\(error)\nradiatord: \(count) configuration problem\(count == 1 ? "" : "s")")
            throw ExitCode.failure
        } catch {
            complain("radiatord: \(error)")
            throw ExitCode.failure
        }
    }

    private func complain(_ text: String) {
        let line = text + "\n"
        _ = write(STDERR_FILENO, line, line.utf8.count)
    }
}
