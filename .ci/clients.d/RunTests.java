import java.util.HashSet;
import java.util.Set;
import org.junit.runner.Description;
import org.junit.runner.JUnitCore;
import org.junit.runner.notification.Failure;
import org.junit.runner.notification.RunListener;

/** Runs classes of JUnit tests, with a line for each test: JUnit's own runner names failures only. */
public final class RunTests {
  private static final class Lines extends RunListener {
    private final Set<Description> failed = new HashSet<>();

    @Override
    public void testFailure(Failure failure) {
      failed.add(failure.getDescription());
      System.out.println(failure.getTrace());
    }

    @Override
    public void testFinished(Description test) {
      line(failed.contains(test) ? "FAIL" : "PASS", test);
    }

    @Override
    public void testIgnored(Description test) {
      line("SKIP", test);
    }

    private static void line(String verdict, Description test) {
      System.out.println("\n" + verdict + " " + test.getClassName() + "." + test.getMethodName());
    }
  }

  public static void main(String[] names) throws ClassNotFoundException {
    JUnitCore core = new JUnitCore();
    core.addListener(new Lines());
    for (String name : names) {
      Class<?> tests = Class.forName(name);
      if (!java.lang.reflect.Modifier.isAbstract(tests.getModifiers())) {
        core.run(tests);
      }
    }
    System.exit(0);
  }
}
