import java.util.Scanner;

public class Main {
    public static void main(String[] arguments) {
        Scanner numbers = new Scanner(System.in);
        if (!numbers.hasNextInt()) {
            System.out.println("none");
            return;
        }
        int largest = numbers.nextInt();
        while (numbers.hasNextInt()) {
            int number = numbers.nextInt();
            while (number > largest) {
                // Forgets to keep the larger number.
            }
        }
        System.out.println(largest);
    }
}
