import Glibc

// No argument parser and no Foundation: their start costs more than most of the work here.

/// Performs one operation many times, under a tool that counts instructions.
///
///     radiator-micro --list           names of the operations, one per line
///     radiator-micro NAME DIRECTORY   performs one in an empty directory; prints how many times
///
/// One thread, no clock, no randomness: a run is the same each time.
@main
struct RadiatorMicro {
    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments == ["--list"] {
            for operation in Operation.catalogue { print(operation.name) }
            return
        }
        guard arguments.count == 2, let name = arguments.first, let directory = arguments.last,
            let operation = Operation.catalogue.first(where: { $0.name == name })
        else { fail("usage: radiator-micro --list | NAME DIRECTORY", status: 64) }
        do {
            let work = try operation.prepare(directory)
            print(try counted(work))
        } catch {
            fail("\(name): \(error)", status: 1)
        }
    }

    private static func fail(_ text: String, status: Int32) -> Never {
        let line = "radiator-micro: \(text)\n"
        _ = write(STDERR_FILENO, line, line.utf8.count)
        exit(status)
    }
}

/// The part of a run that is counted: `tools/count-instructions` knows this function by its name.
@inline(never)
private func counted(_ work: () throws -> Int) rethrows -> Int { try work() }
